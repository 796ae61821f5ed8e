"""Pages of `encore serve` in a real Chromium, watched: what they complain of, ask elsewhere, and bar people from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.browser import CHROMIUM, QUIET
from tests.serving import Server


@dataclass
class Watched:
    """A page, and what nobody should find on it.

    Attributes
    ----------
    page : Page
    complaints : list of str
        Of the console and of scripts, and addresses outside the server that were asked.
    expected : list of str
        Parts of complaints that a test provokes.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: ["status of 404"])

    def unexpected(self) -> list[str]:
        return [line for line in self.complaints if not any(part in line for part in self.expected)]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def another(browser: Browser, *words: str) -> Iterator[Browser]:
    """Start another browser, with more words on its command line."""
    browser = browser.browser_type.launch(executable_path=CHROMIUM, args=[*QUIET, *words])
    yield browser
    browser.close()


@contextmanager
def watched(browser: Browser, server: Server, tab: str = "", **options: Any) -> Iterator[Watched]:
    """Open a tab in a context of its own; at the end nothing unexpected has happened on it."""
    with browser.new_context(**options) as context:
        page = context.new_page()
        found = Watched(page)

        def asked(request: Request) -> None:
            if not request.url.startswith((f"{server.address}/", "blob:")):
                found.complaints.append(f"asked {request.url}")

        page.on("request", asked)
        page.on("pageerror", lambda error: found.complaints.append(f"script: {error}"))
        page.on("console", lambda message: found.complaints.append(f"{message.type}: {message.text}"))
        page.goto(f"{server.address}/#{tab}")
        yield found
        assert found.unexpected() == []


def until(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait for something on a page; Playwright's own way is forbidden by the content security policy."""
    for _ in range(200):
        if is_so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come to be in 10 s")


def barriers(page: Page) -> list[str]:
    """What axe-core finds that bars people from a page, each with where it is."""
    violations = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in violations for node in one["nodes"]]
