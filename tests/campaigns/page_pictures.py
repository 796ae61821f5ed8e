"""The README's pictures of `encore serve`: `python -m tests.campaigns.page_pictures FOLDER`.

It opens the page in Debian's Chromium as a person would, with this checkout's code and the model and music of
the project in FOLDER, and writes tests/screenshots/ask.png, listen.png and map.png.
"""

import sys
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import WIDE, Visit, launched, visiting
from tests.campaigns.pictures import UNSURE, save
from tests.serving import Server, serving

LONGEST_S = 3600  # until all music was heard
HEIGHTS = {"ask": 1100, "listen": 1000, "map": 900}
SETTLED_MS = 1500  # pictures are drawn a frame after their numbers have come


def wait_for_the_music(server: Server) -> None:
    until = time.monotonic() + LONGEST_S
    while (answer := server.get("/map").json)["state"] == "running":
        if time.monotonic() > until:
            sys.exit(f"the music is still being heard after {LONGEST_S} s: {answer['line']}")
        time.sleep(1)
    if answer["state"] != "ready":
        sys.exit(f"there is no map: {answer['line']}")


def ask(page: Page, song: Path) -> None:
    page.locator("#ask input[type=file]").set_input_files(song)
    page.locator("#ask .similar li").first.wait_for(timeout=60_000)


def listen(page: Page) -> None:
    """Its first track is open from the start."""
    expect(page.locator("#listen canvas").first).to_be_visible(timeout=60_000)


def draw_map(page: Page) -> None:
    expect(page.locator("#map canvas").first).to_be_visible(timeout=60_000)


def take(visit: Visit, name: str) -> None:
    """Write a picture of a tab that has been opened."""
    visit.page.set_viewport_size({"width": WIDE, "height": HEIGHTS[name]})
    visit.page.wait_for_load_state("networkidle")
    visit.page.wait_for_timeout(SETTLED_MS)
    save(visit.page.screenshot(), f"{name}.png")


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    with serving(folder) as server, launched() as browser:
        wait_for_the_music(server)
        for name in HEIGHTS:
            with visiting(browser, server.address) as visit:
                visit.go(f"/#{name}")
                if name == "ask":
                    ask(visit.page, folder / "data" / UNSURE)
                elif name == "listen":
                    listen(visit.page)
                else:
                    draw_map(visit.page)
                take(visit, name)


if __name__ == "__main__":
    main()
