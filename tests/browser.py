"""Debian's Chromium, for tests of pages; it reaches nothing outside this machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

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


WIDE, NARROW = 1400, 390
HEIGHT = 900
PATIENCE_MS, DEFAULT_MS = 60_000, 5_000
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (WIDE, NARROW)]
# Chromium itself writes to the console of some of them only.
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`${event.violatedDirective} forbids ${event.blockedURI}`));
"""


def needs_chromium(test: object) -> object:
    """Mark a test of a page."""
    reason = "CHROMIUM IS MISSING: no page was tested (apt install chromium)"
    return pytest.mark.browser(pytest.mark.skipif(CHROMIUM is None, reason=reason)(test))


@dataclass
class Visit:
    """A page that is open, and what went wrong in it."""

    page: Page
    address: str  # of the server, without a slash at the end
    errors: list[str] = field(default_factory=list)  # in the console, thrown, or against the security policy
    foreign: list[str] = field(default_factory=list)  # addresses of others that it asked for

    def go(self, path: str = "/") -> None:
        """Open a page of the server; what it loads is there."""
        self.page.goto(f"{self.address}{path}", wait_until="networkidle")

    def barriers(self) -> list[str]:
        """What axe-core has against the page as it is now: rule, element and reason."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {node['html'][:200]}: {node['failureSummary']}"
            for rule in found
            for node in rule["nodes"]
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        root = "document.documentElement"
        return int(self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))


@contextmanager
def launched(*words: str) -> Iterator[Browser]:
    """Run a browser; once for a test file, since it takes a second.

    What is expected of its pages may take long where many tests run at once.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *words])
        expect.set_options(timeout=PATIENCE_MS)
        try:
            yield browser
        finally:
            expect.set_options(timeout=DEFAULT_MS)
            browser.close()


@contextmanager
def visiting(
    browser: Browser,
    address: str,
    scheme: Literal["light", "dark"] = "light",
    width: int = WIDE,
    **options: Any,
) -> Iterator[Visit]:
    """Yield an empty page in a context of its own; at the end there must be no error and no foreign request.

    A test that expects an error takes it out of the list: ``visit.errors.clear()``.
    """
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": HEIGHT}, **options)
    try:
        visit = Visit(context.new_page(), address.rstrip("/"))
        _watch(context, visit)
        yield visit
        assert (visit.errors, visit.foreign) == ([], [])
    finally:
        context.close()


def _watch(context: BrowserContext, visit: Visit) -> None:
    own = (f"{visit.address}/", f"blob:{visit.address}/", "data:")

    def on_request(request: Request) -> None:
        if not request.url.startswith(own):
            visit.foreign.append(request.url)

    def on_message(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.errors.append(f"{message.text} ({message.location.get('url', '')})")

    context.add_init_script(REPORT_VIOLATIONS)
    context.on("request", on_request)
    context.on("console", on_message)
    context.on("weberror", lambda error: visit.errors.append(str(error.error)))
