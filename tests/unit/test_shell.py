"""The page of `encore serve` in a browser: its tabs, its addresses, and what holds for all of it."""

from contextlib import closing

import pytest
from playwright.sync_api import expect

from tests.browser import CHROMIUM, LOOKS, QUIET, launched, needs_chromium, visiting
from tests.serving import make_project, serving

pytestmark = pytest.mark.slow
TABS = ["ask", "listen", "map"]


@pytest.fixture(scope="module")
def server(module_workspace):
    make_project(module_workspace)
    with serving(module_workspace) as started:
        yield started


@pytest.fixture(scope="module")
def browser():
    with launched() as started:
        yield started


@pytest.fixture
def visit(browser, server):
    with visiting(browser, server.address) as opened:
        yield opened


def shown(visit):
    """The tab that is shown, by all signs of it."""
    (tab,) = visit.page.locator('[role=tab][aria-selected="true"]').all()
    (panel,) = visit.page.locator("[role=tabpanel]:not([hidden])").all()
    (stop,) = visit.page.locator('[role=tab]:not([tabindex="-1"])').all()
    names = {
        tab.get_attribute("aria-controls"),
        panel.get_attribute("id"),
        stop.get_attribute("aria-controls"),
    }
    (name,) = names
    return name


@needs_chromium
def test_tabs_by_mouse(visit):
    visit.go()
    assert shown(visit) == "ask"
    for name in ("Listen", "Map", "Ask"):
        visit.page.get_by_role("tab", name=name).click()
        assert shown(visit) == name.lower()
        assert visit.page.url == f"{visit.address}/#{name.lower()}"
        expect(visit.page.get_by_role("tabpanel")).not_to_be_empty()


@needs_chromium
def test_tabs_by_keyboard(visit):
    visit.go()
    visit.page.keyboard.press("Tab")
    expect(visit.page.get_by_role("link", name="To the content")).to_be_focused()
    visit.page.keyboard.press("Tab")
    steps = [
        ("ArrowRight", "listen"),
        ("ArrowRight", "map"),
        ("ArrowRight", "ask"),
        ("ArrowLeft", "map"),
        ("Home", "ask"),
        ("End", "map"),
    ]
    for key, name in steps:
        visit.page.keyboard.press(key)
        assert shown(visit) == name
        expect(visit.page.locator(f"#tab-{name}")).to_be_focused()
    visit.page.keyboard.press("Tab")
    expect(visit.page.get_by_role("link", name="API", exact=True)).to_be_focused()


@needs_chromium
def test_the_address_names_the_tab(visit):
    visit.go("/#map")
    assert shown(visit) == "map"
    visit.page.evaluate("location.hash = 'listen'")
    expect(visit.page.locator("#listen")).to_be_visible()
    assert shown(visit) == "listen"
    visit.page.get_by_role("link", name="To the content").focus()
    visit.page.keyboard.press("Enter")  # goes to #main, which is no tab
    assert shown(visit) == "listen"
    visit.page.evaluate("location.hash = 'constructor'")
    visit.page.reload()
    assert shown(visit) == "ask"


@needs_chromium
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_everybody_can_use_the_page_of_the_api(browser, server, look):
    """The tabs have such tests of their own."""
    with visiting(browser, server.address, *look, reduced_motion="reduce") as visit:
        visit.go("/api")
        assert visit.barriers() == []
        assert visit.overflow() == 0


@needs_chromium
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_person_who_is_lost(browser, server, look):
    with visiting(browser, server.address, *look) as visit:
        visit.go("/nothing")
        assert visit.errors.pop().startswith(
            "Failed to load resource: the server responded with a status of 404"
        )
        assert visit.barriers() == []
        visit.page.get_by_role("link", name="the API").click()
        expect(visit.page.get_by_role("heading", level=1)).to_have_text("Encore: the API")


@needs_chromium
def test_without_javascript_it_says_what_there_is_in_its_place(browser, server):
    """Playwright's own switch leaves the parser as it is, which then hides what is for browsers without."""
    words = [*QUIET, "--blink-settings=scriptEnabled=false"]
    other = browser.browser_type.launch(executable_path=CHROMIUM, args=words)
    with closing(other), visiting(other, server.address) as visit:
        visit.go()
        said = visit.page.locator("noscript p")  # texts in it are not searched
        expect(said).to_be_visible()
        expect(said).to_contain_text("This page needs JavaScript")
        visit.page.get_by_role("link", name="API", exact=True).click()
        expect(visit.page.get_by_text(f"'{server.address}/about'")).to_be_visible()


@needs_chromium
def test_a_line_of_the_api_is_copied(browser, server):
    with visiting(browser, server.address, permissions=["clipboard-read", "clipboard-write"]) as visit:
        visit.go("/api")
        button = visit.page.locator("#about").get_by_role("button")
        button.focus()
        visit.page.keyboard.press("Enter")
        expect(button).to_have_text("Copied")
        copied = visit.page.evaluate("navigator.clipboard.readText()")
        assert copied == f"curl '{server.address}/about'"


@needs_chromium
def test_a_server_that_is_gone_is_said_in_words(browser, module_workspace, server):
    with serving(module_workspace) as other, visiting(browser, other.address) as visit:
        visit.go()
        other.kill()
        visit.page.get_by_role("tab", name="Map").click()
        expect(visit.page.get_by_role("tabpanel")).to_contain_text("still running")
        assert visit.errors
        visit.errors.clear()


@needs_chromium
def test_what_has_changed_in_the_project_is_said(visit, module_workspace):
    """As by `dvc repro`; and as by another server, with another model."""
    page, alert = visit.page, visit.page.locator("header [role=alert]")
    visit.go()
    model = module_workspace / "data/model/model.json"
    before = model.read_bytes()
    model.unlink()
    page.get_by_role("tab", name="Listen").click()
    expect(alert).to_have_text(
        "data/model/model.json: not what this server was started with; end it, and start `encore serve` again"
    )
    assert visit.barriers() == []
    expect(page.locator("#listen .listening")).to_contain_text("No picture: data/model/model.json: not what")
    model.write_bytes(before)
    assert all("409" in line for line in visit.errors)
    visit.errors.clear()
    page.get_by_role("tab", name="Ask").click()
    expect(alert).to_be_empty()
    page.route("**/about", lambda route: route.fulfill(json={**route.fetch().json(), "key": "another"}))
    page.get_by_role("tab", name="Map").click()
    expect(alert).to_contain_text("load this page again")


@needs_chromium
def test_the_watch_sees_what_is_wrong(browser, server):
    """An inline style, a request that leaves the machine, an error: none of them goes unnoticed."""
    with visiting(browser, server.address) as visit:
        visit.go()
        visit.page.evaluate("""() => {
          document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>red</p>");
          document.body.insertAdjacentHTML("beforeend", "<img src='http://127.0.0.2:9/x.png'>");
          setTimeout(() => { throw new Error("thrown"); });
          return new Promise((resolve) => setTimeout(resolve, 500));
        }""")
        found = "\n".join(visit.errors)
        for part in ("style-src", "img-src", "thrown"):
            assert part in found
        assert {line.split(":")[0] for line in visit.barriers()} == {"image-alt", "region"}
        visit.errors.clear()
        visit.foreign.clear()
