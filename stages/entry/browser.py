"""Opens a page for the person at this machine."""

import os
import sys
import webbrowser
from contextlib import suppress


def open_in_browser(address: str) -> None:
    """Open an address in the browser, if there is one and a display."""
    has_display = sys.platform in ("darwin", "win32") or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)
    with suppress(webbrowser.Error, OSError):
        if has_display:
            webbrowser.open(address)
