"""The tab Map in a real Chromium, with a real server behind it."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import LOOKS, NARROW, Visit, launched, needs_chromium, visiting
from tests.serving import Server, make_project, serving
from tests.synthetic import CLASSES

pytestmark = pytest.mark.slow
ENDLESS = 200  # tries, of 50 ms
COLOUR = "(element) => getComputedStyle(element).backgroundColor"


@pytest.fixture(scope="module")
def server(module_workspace: Path) -> Iterator[Server]:
    make_project(module_workspace)
    with serving(module_workspace) as started:
        yield started


@pytest.fixture(scope="module")
def ready(server: Server, browser: Browser) -> dict[str, Any]:
    """The map, when all music was heard; the page waits for it as a user would."""
    with visiting(browser, server.address) as visit:
        visit.go("/#map")
        visit.page.locator(".map-stage").wait_for(timeout=120_000)
    return server.get("/map").json["points"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture
def visit(browser: Browser, server: Server, ready: dict[str, Any]) -> Iterator[Visit]:
    with visiting(browser, server.address) as visit:
        show(visit)
        yield visit


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit.page


def show(visit: Visit, answer: dict[str, Any] | None = None) -> None:
    """Open the tab; with another answer of the server's, if one is given."""
    if answer is not None:

        def other(route: Route) -> None:
            route.fulfill(body=json.dumps(answer), content_type="application/json")

        visit.page.route("**/map", other)
    visit.go("/#map")


def document(points: dict[str, Any], line: str = "", state: str = "ready") -> dict[str, Any]:
    n = len(points["id"])
    return {"state": state, "line": line, "n_tracks": n, "n_shown": n, "points": points}


def until(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait for something on a page; the content security policy forbids how Playwright would."""
    for _ in range(ENDLESS):
        if is_so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come to be in 10 s")


def press(page: Page, *keys: str) -> None:
    stage = page.locator(".map-stage")
    for key in keys:
        stage.press(key)


def focused(page: Page) -> str:
    """The name of the track that the keyboard or the pointer is at."""
    return page.locator(".map-reading").inner_text().partition(":")[0]


def pixel(page: Page) -> np.ndarray:
    """Where that track is, in pixels of the stage."""
    transform = page.locator(".map-tip").evaluate("(tip) => tip.style.transform")
    return np.array([float(part) for part in re.findall(r"-?[\d.]+(?=px)", transform)])


def corner(page: Page) -> np.ndarray:
    """Where the stage begins in the window."""
    page.locator(".map-stage").scroll_into_view_if_needed()
    inside = "(stage) => { const { x, y } = stage.getBoundingClientRect(); return [x + 1, y + 1]; }"
    return np.array(page.locator(".map-stage").evaluate(inside))


def size(page: Page) -> np.ndarray:
    return np.array(page.locator(".map-stage").evaluate("(stage) => [stage.clientWidth, stage.clientHeight]"))


def pixels(page: Page, points: dict[str, Any]) -> np.ndarray:
    """Where all tracks are, (n, 2), by the places of two of them on the picture."""
    places = np.array([points["x"], points["y"]]).T
    known = {}
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowDown"):
        press(page, key)
        known[points["name"].index(focused(page))] = pixel(page)
    rows = np.array([*known])
    seen = np.array([*known.values()])
    fits = [np.polyfit(places[rows, axis], seen[:, axis], 1) for axis in (0, 1)]
    assert fits[0][0] == pytest.approx(-fits[1][0], rel=1e-3)  # nothing is stretched, and up is up
    assert np.ptp(places[rows], axis=0).min() > 0.05
    return np.stack([np.polyval(fit, places[:, axis]) for axis, fit in enumerate(fits)], axis=1)


def pictured(page: Page) -> np.ndarray:
    """The picture of the stage as it is seen, uint8 (height, width, 3), without its border."""
    content = page.locator(".map-stage").screenshot()
    return (plt.imread(io.BytesIO(content), "png")[1:-1, 1:-1, :3] * 255).round().astype(np.uint8)


def lasso(page: Page, *corners: np.ndarray) -> None:
    """Drag round a polygon of pixels of the stage."""
    start = corner(page)
    page.mouse.move(*(start + corners[0]))
    page.mouse.down()
    for place in corners[1:]:
        page.mouse.move(*(start + place), steps=4)
    page.mouse.up()


def listed(page: Page) -> list[str]:
    return page.locator(".map-track-name").all_inner_texts()


@needs_chromium
def test_the_pointer_names_a_track_and_a_click_plays_it(page, ready):
    places = pixels(page, ready)
    distances = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(len(places))
    alone = int(distances.min(axis=1).argmax())
    page.mouse.move(*(corner(page) + places[alone]))
    until(page, lambda: focused(page) == ready["name"][alone])
    expect(page.locator(".map-tip")).to_be_visible()
    assert f"({ready['split'][alone]})" in page.locator(".map-tip").inner_text()
    page.mouse.click(*(corner(page) + places[alone]))
    sound = "document.querySelector('.map-bar audio')"
    until(page, lambda: page.evaluate(f"{sound}.currentTime") > 0.1)
    assert page.evaluate(f"{sound}.src").endswith(f"/tracks/{ready['id'][alone]}/audio")
    assert ready["name"][alone] in page.locator(".map-title").inner_text()
    page.mouse.move(0, 0)
    expect(page.locator(".map-tip")).to_be_hidden()


@needs_chromium
def test_a_lasso_lists_what_is_inside(page, ready):
    places = pixels(page, ready)
    middle = np.median(places, axis=0)
    triangle = middle + np.array([[-130, -110], [150, -60], [-20, 160]])
    edges = np.roll(triangle, -1, axis=0) - triangle
    from_corners = places[:, None] - triangle
    side = edges[:, 0] * from_corners[..., 1] - edges[:, 1] * from_corners[..., 0]
    away = np.abs(side / np.linalg.norm(edges, axis=1)).min(axis=1)
    assert (away > 0.5).all()  # the test's line passes through no track
    inside = (side > 0).all(axis=1)
    assert 1 < inside.sum() < len(places)
    lasso(page, *triangle, triangle[0])
    assert set(listed(page)) == {ready["name"][row] for row in np.flatnonzero(inside)}
    assert page.locator(".map-list h2").inner_text().startswith(f"{inside.sum()} tracks inside the line")
    page.locator(".map-tracks button").first.click()
    until(page, lambda: page.evaluate("document.querySelector('.map-bar audio').currentTime") > 0.1)
    expect(page.locator(".map-tracks li").first).to_have_attribute("aria-current", "true")
    press(page, "Escape")
    expect(page.locator(".map-list")).to_be_hidden()


@needs_chromium
def test_by_keys_alone(page, ready):
    press(page, "ArrowRight")
    first, before = focused(page), pixel(page)
    press(page, "ArrowRight")
    second, after = focused(page), pixel(page)
    assert {first, second} <= set(ready["name"])
    assert after[0] > before[0]
    assert abs(after[1] - before[1]) <= after[0] - before[0]
    assert page.locator(".map-tab [role=status]").first.inner_text().startswith(second)
    press(page, "l")
    names = listed(page)
    assert names[0] == second
    assert len(names) == min(21, len(ready["name"]))
    press(page, "Enter")
    until(page, lambda: page.evaluate("document.querySelector('.map-bar audio').currentTime") > 0.1)
    press(page, " ")
    assert page.evaluate("document.querySelector('.map-bar audio').paused")
    row = ready["name"].index(second)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Zoom in"
    expect(page.locator(".map-bar")).to_contain_text(ready["name"][row])


def hover(page: Page, place: np.ndarray) -> str:
    """Move the pointer to a pixel of the stage, and away from where it was; return what track it names."""
    start = corner(page)
    page.mouse.move(*start)
    page.mouse.move(*(start + place))
    return focused(page)


def pair(places: np.ndarray, factor: float, size: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Two tracks: one, and the place of its neighbour when the map is so much closer about the first one."""
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    for one in range(len(places)):
        for other in np.argsort(distances[one])[1:]:
            place = places[one] + (places[other] - places[one]) * factor
            others = np.linalg.norm(places[one] + (places - places[one]) * factor - place, axis=1)
            if (place > 5).all() and (place < size - 5).all() and np.sort(others)[1] > 3:
                return one, int(other), place
    raise AssertionError("no two tracks are near each other")


@needs_chromium
def test_keys_buttons_and_wheel_zoom_and_shift_moves(page, ready):
    press(page, "ArrowRight")
    name, whole = focused(page), pixel(page)
    press(page, "+")
    assert focused(page) == name
    assert pixel(page) == pytest.approx(whole, abs=1)  # about the track that is chosen
    press(page, "0")
    assert pixel(page) == pytest.approx(whole, abs=0.01)
    places = pixels(page, ready)
    factor = float(np.exp(300 * 0.0015))
    one, other, place = pair(places, factor, size(page))
    assert hover(page, places[one]) == ready["name"][one]
    page.mouse.wheel(0, -300)
    until(page, lambda: hover(page, place) == ready["name"][other])
    assert hover(page, places[one]) == ready["name"][one]
    page.keyboard.down("Shift")
    page.mouse.down()
    step = np.sign(places[one] - size(page) / 2) * (7, 5)  # inwards: the map stays in sight
    page.mouse.move(*(corner(page) + places[one] + step), steps=2)
    page.mouse.up()
    page.keyboard.up("Shift")
    hover(page, places[one] + step)
    assert pixel(page) == pytest.approx(places[one] + step, abs=1)
    expect(page.locator(".map-list")).to_be_hidden()  # it was no lasso
    page.get_by_role("button", name="Zoom out").click()
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Whole map").click()
    hover(page, places[one])
    assert pixel(page) == pytest.approx(places[one], abs=1)


@needs_chromium
def test_two_fingers_zoom(browser, server, ready):
    with visiting(browser, server.address, "light", NARROW, has_touch=True) as visit:
        page = visit.page
        show(visit)
        places = pixels(page, ready)
        one, other, place = pair(places, 2, size(page))
        x, y = corner(page) + places[one]
        client = page.context.new_cdp_session(page)

        def touch(kind: str, *apart: float) -> None:
            points = [{"x": x, "y": y + sign * half, "id": sign + 1} for half in apart for sign in (-1, 1)]
            client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", 10)
        for half in (12, 14, 16, 18, 20):
            touch("touchMove", half)
        touch("touchEnd")
        until(page, lambda: hover(page, place) == ready["name"][other])
        assert hover(page, places[one]) == ready["name"][one]
        expect(page.locator(".map-list")).to_be_hidden()  # it was no lasso


@needs_chromium
def test_points_have_the_colours_of_the_legend_and_wrong_ones_a_ring(browser, server, ready):
    n = len(CLASSES)
    points = {
        "id": [f"{row:016x}" for row in range(n + 2)],
        "name": [f"{row}.wav" for row in range(n + 2)],
        "x": [-1, *np.linspace(-0.5, 0.5, n).tolist(), 1],
        "y": [0.0] * (n + 2),
        "label": [CLASSES[0], *CLASSES, ""],
        "predicted": [CLASSES[1], *CLASSES, CLASSES[0]],
        "split": ["test"] * (n + 1) + ["unlabelled"],
        "is_wrong": [True] + [False] * (n + 1),
    }
    for scheme in ("light", "dark"):
        with visiting(browser, server.address, scheme) as visit:
            show(visit, document(points))
            page = visit.page
            swatches = page.locator(".legend .swatch")
            expect(swatches).to_have_count(n + 1)
            colours = [
                [*map(int, re.findall(r"\d+", swatches.nth(i).evaluate(COLOUR)))] for i in range(n + 1)
            ]
            places = size(page) / 2 + np.outer(points["x"], [size(page).min() / 2 - 26, 0])
            picture = pictured(page)
            background = picture[10, 10]
            for (x, y), label in zip(places.round().astype(int), points["label"], strict=True):
                if label:
                    assert picture[y, x].tolist() == colours[CLASSES.index(label)]
                else:
                    assert np.ptp(picture[y, x].astype(int)) < 30  # grey
                    assert (picture[y, x] != background).any()
                ring = picture[y, x - 7]
                assert (ring != background).any() == (x == places[0, 0].round())
            press(page, "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft")
            assert "wrongly predicted" in page.locator(".map-reading").inner_text()
            page.get_by_label("only wrong ones").check()
            expect(page.locator(".map-legend")).to_contain_text("1 track shown")
            page.get_by_label("only wrong ones").uncheck()
            page.get_by_label("Coloured by").select_option("predicted")
            expect(page.locator(".legend")).not_to_contain_text("unlabelled")
            x, y = places[0].round().astype(int)
            assert pictured(page)[y, x].tolist() == colours[1]


@needs_chromium
def test_classes_can_be_left_out_by_keyboard(page, ready):
    first = page.get_by_role("button", name=CLASSES[0])
    first.focus()
    page.keyboard.press("Enter")
    expect(first).to_have_attribute("aria-pressed", "false")
    left = sum(label != CLASSES[0] for label in ready["label"])
    expect(page.locator(".map-legend")).to_contain_text(f"{left} tracks shown")
    page.get_by_role("button", name="List them").click()
    assert sorted(listed(page)) == [
        name for name, label in zip(ready["name"], ready["label"], strict=True) if label != CLASSES[0]
    ]
    page.get_by_role("button", name="None").click()
    press(page, "ArrowRight", "Enter", "l")  # nothing is there, and nothing fails
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator(".map-legend")).to_contain_text(f"{len(ready['label'])} tracks shown")


@needs_chromium
def test_one_split_can_be_shown(page, ready):
    page.get_by_label("Tracks of").select_option("test")
    of_test = [place for place, split in enumerate(ready["split"]) if split == "test"]
    expect(page.locator(".map-legend")).to_contain_text(f"{len(of_test)} tracks shown")
    n_wrong = sum(ready["is_wrong"][place] for place in of_test)
    expect(page.locator(".map-wrong .number")).to_have_text(str(n_wrong))
    page.get_by_role("button", name="List them").click()
    assert sorted(listed(page)) == sorted(ready["name"][place] for place in of_test)


@needs_chromium
def test_ten_thousand_tracks_are_listed_some_at_a_time(browser, server, ready):
    rng = np.random.default_rng(0)
    n = 10_000
    places = rng.uniform(-1, 1, (n, 2)).round(4)
    points = {
        "id": [f"{row:016x}" for row in range(n)],
        "name": [f"{row:05}.wav" for row in range(n)],
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "label": [CLASSES[row % len(CLASSES)] for row in range(n)],
        "predicted": [CLASSES[row % len(CLASSES)] for row in range(n)],
        "split": ["train"] * n,
        "is_wrong": [False] * n,
    }
    with visiting(browser, server.address) as visit:
        show(visit, document(points, "10,000 of 12,000 tracks are shown, chosen by chance."))
        page = visit.page
        expect(page.locator(".map-note")).to_contain_text("10,000 of 12,000")
        right, bottom = size(page) - 2
        lasso(page, *np.array([[2, 2], [right, 2], [right, bottom], [2, bottom], [2, 4]]))
        expect(page.locator(".map-list h2")).to_have_text("10,000 tracks inside the line")
        assert len(listed(page)) == 100
        page.get_by_role("button", name="100 more of 9,900").click()
        assert len(listed(page)) == 200
        assert page.evaluate("document.activeElement.textContent").startswith("00100.wav")


@needs_chromium
def test_while_the_music_is_heard_the_page_says_how_far_it_is(browser, server, ready):
    nothing = {key: [] for key in ready}
    answers = [
        document(nothing, "The music is being heard for the first time: 3 of 18 tracks", "running"),
        document(ready),
    ]
    with visiting(browser, server.address) as visit:
        page = visit.page
        page.route(
            "**/map",
            lambda route: route.fulfill(body=json.dumps(answers.pop(0)), content_type="application/json"),
        )
        visit.go("/#map")
        expect(page.locator(".map-note")).to_contain_text("3 of 18 tracks")
        expect(page.locator(".map-stage")).to_be_hidden()
        expect(page.locator(".map-stage")).to_be_visible()  # by itself
        expect(page.locator(".map-note")).to_be_hidden()
        assert not answers


@needs_chromium
def test_a_failure_is_said(browser, server, ready):
    line = "The music cannot be heard: none of the files can be used"
    with visiting(browser, server.address) as visit:
        show(visit, document({key: [] for key in ready}, line, "failed"))
        expect(visit.page.locator(".map-note")).to_have_text(line)
        expect(visit.page.locator(".map-stage")).to_be_hidden()


@needs_chromium
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_no_barriers(browser, server, ready, look):
    with visiting(browser, server.address, *look) as visit:
        show(visit)
        page = visit.page
        assert visit.barriers() == []
        press(page, "ArrowRight", "l", "Enter")
        page.locator(".legend button").first.click()
        press(page, "ArrowRight")
        assert visit.barriers() == []
        assert visit.overflow() <= 0


@needs_chromium
def test_what_is_played_can_be_judged(page, ready):
    tested = ready["split"].index("test")
    page.get_by_role("button", name="List them").click()
    page.locator(".map-tracks button").filter(has_text=ready["name"][tested]).click()
    page.get_by_role("button", name="Judge it in Listen").click()
    expect(page.locator("#tab-listen")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#map")).to_be_hidden()
    trained = ready["split"].index("train")
    page.locator("#tab-map").click()
    page.locator(".map-tracks button").filter(has_text=ready["name"][trained]).click()
    expect(page.get_by_role("button", name="Judge it in Listen")).to_be_hidden()
