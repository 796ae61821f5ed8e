"""Let `dvc plots` draw without a network, on a page of our own with Vega inside.

`make repro` runs it when the page or Vega has changed. It writes .dvc/plots.html, and plots.html_template to
.dvc/config.local. What is set there already stays.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.workspace import replaced, root
from stages.entry.command import run_command

PAGE = "plots.html"  # below .dvc, where DVC looks for it
TEMPLATE = Path(__file__).parent / "review/plots.html"
PACKAGE = "django-js-lib-vega-embed"  # nothing of it is imported
VEGA = "js_lib_vega_embed/static/js_lib_vega_embed/vega-embed-full.js"  # Vega, Vega-Lite and Vega-Embed


def main() -> None:
    """Write the page, and tell DVC."""
    from dvc.repo import Repo

    with Repo(str(root())) as repo:
        with replaced(root() / ".dvc" / PAGE) as path:
            path.write_text(page(), "utf-8")
        with repo.config.edit("local") as config:
            config.setdefault("plots", {}).setdefault("html_template", PAGE)
    print("`dvc plots` draws without a network (.dvc/plots.html)")


def page() -> str:
    """Return the page that DVC fills with plots.

    Raises
    ------
    EncoreError
        If Vega is not installed.
    """
    try:
        vega = Path(str(distribution(PACKAGE).locate_file(VEGA))).read_text("utf-8")
    except (PackageNotFoundError, FileNotFoundError):
        raise EncoreError(f"{PACKAGE}, which has Vega, is missing; `make repro` installs it") from None
    return TEMPLATE.read_text("utf-8").replace("{vega}", vega)


if __name__ == "__main__":
    run_command(main)
