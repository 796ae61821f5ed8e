"""Open a page to ask a model, to hear what it got wrong and judge it, and to see all music on a map.

encore serve                       prints the address, and opens it if there is a display
encore serve --run NAME            with the model of another run
encore serve --reviewer anna       verdicts go to data/verdicts/anna.csv

The page is on this machine only. Its JSON API is explained at /api. Ctrl-C ends the server.
"""

import signal
import sys
from argparse import Namespace
from contextlib import closing

from stages.asking import options as shared
from stages.core.errors import EncoreError
from stages.correcting.verdict import check_reviewer
from stages.entry.browser import open_in_browser
from stages.entry.command import run_parsed

PORT = 8000


def main() -> None:
    """Serve the page until Ctrl-C.

    Raises
    ------
    EncoreError
        If there is no model, or the port cannot be used.
    """
    options = _options()

    from stages.core.runtime import prepare_for_torch
    from stages.serving.connections import listening, serve

    listener = listening(options.port)
    with closing(listener):
        model = shared.chosen(options)
        prepare_for_torch()
        from stages.serving.app import build
        from stages.serving.site import Site
        from stages.serving.uploads import place

        for number in (signal.SIGTERM, signal.SIGHUP):  # so that the processes end, too
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        port = listener.getsockname()[1]
        with place() as uploads, closing(Site(model, options.reviewer, uploads)) as site:
            address = f"http://127.0.0.1:{port}/"
            shared.say(options, f"model: {model.name}", *model.origin, "Ctrl-C ends the server")
            print(address, flush=True)
            open_in_browser(address)
            serve(build(site, port), listener)


def _options() -> Namespace:
    parser = shared.parser(__doc__, "encore serve", has_json=False)
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"else {PORT}; 0: any free one")
    parser.add_argument("--reviewer", default="me", metavar="NAME", help="whose verdicts they are (me)")
    options = parser.parse_args()
    if not 0 <= options.port < 1 << 16:
        raise EncoreError(f"--port {options.port}: should be from 0 to 65535")
    check_reviewer(options.reviewer)
    return options


if __name__ == "__main__":
    run_parsed(main)
