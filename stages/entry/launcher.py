"""What `make` writes into the environment as the command `encore`, below a line that starts Python.

It runs the code of the checkout that the environment is in, or is linked from, wherever it is called.
"""

import os
import sys

if __name__ == "__main__":  # processes that a command starts load this file, too
    script = os.path.abspath(__file__)  # noqa: PTH100  # a link to the whole environment is to stay
    while os.path.islink(script):  # noqa: PTH114
        script = os.path.join(os.path.dirname(script), os.readlink(script))  # noqa: PTH115, PTH118, PTH120
    sys.path.insert(0, os.path.abspath(os.path.join(script, "../../..")))  # noqa: PTH100, PTH118
    from stages.entry.commands import main

    main()
