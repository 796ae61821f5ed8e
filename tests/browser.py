"""Debian's Chromium, for tests of pages; it reaches nothing outside this machine."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def needs_chromium(test: object) -> object:
    """Mark a test of a page."""
    reason = "CHROMIUM IS MISSING: no page was tested (apt install chromium)"
    return pytest.mark.browser(pytest.mark.skipif(CHROMIUM is None, reason=reason)(test))
