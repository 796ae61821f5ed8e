"""The tab Listen in a real Chromium, with a real server behind it."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from stages.correcting.journal import Journal
from stages.correcting.verdict import Verdict
from tests.browser import LOOKS, NARROW, Visit, launched, needs_chromium, visiting
from tests.serving import Server, make_project, serving
from tests.synthetic import CLASSES

pytestmark = pytest.mark.slow
FILE = Path("data/verdicts/me.csv")
TIME = "document.querySelector('#listen audio').currentTime"
# Test tracks, but for the last one, which is for training: the model contradicts three labels.
SWAPPED = [("blues/02.wav", "rock/11.wav"), ("jazz/08.wav", "rock/05.wav")]
PAUSED = "document.querySelector('#listen audio').paused"


@pytest.fixture(scope="module")
def server(module_workspace: Path) -> Iterator[Server]:
    make_project(module_workspace, 12, SWAPPED)
    with serving(module_workspace) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture
def tracks(server: Server) -> Iterator[list[dict[str, Any]]]:
    """The test tracks, the most confidently wrong first; no verdict is there before, and none stays."""
    listed = server.get("/tracks?split=test").json["tracks"]
    assert [track["is_wrong"] for track in listed] == [True] * 3 + [False] * 3
    yield listed
    for path in FILE.parent.glob("*"):
        path.unlink()


@pytest.fixture
def visit(browser: Browser, server: Server, tracks: list[dict[str, Any]]) -> Iterator[Visit]:
    with visiting(browser, server.address) as one:
        opened(one)
        yield one


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit.page


def opened(visit: Visit) -> None:
    visit.go("/#listen")
    expect(visit.page.locator(".track-row").first).to_be_visible()


def rows() -> list[dict[str, str]]:
    with FILE.open(newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


def names(page: Page) -> list[str]:
    return page.locator(".track-name").all_inner_texts()


def field(page: Page, name: str) -> Locator:
    return page.locator(".filters").get_by_label(name, exact=True)


def title(page: Page) -> Locator:
    return page.locator(".track-title")


def said(page: Page) -> Locator:
    return page.locator(".saved")


def by_another(track: dict[str, Any], verdict: str, label: str) -> None:
    values = {"path": track["name"], "sha256": "", "was": "", "predicted": "", "model": ""}
    given = {
        "time": "2026-01-01T00:00:00Z",
        "track_id": track["track_id"],
        "verdict": verdict,
        "label": label,
    }
    Journal.of("anna").append(Verdict(**given, **values, reviewer="anna"))


@needs_chromium
def test_the_most_confidently_wrong_come_first_and_are_marked_in_words(page, tracks):
    assert names(page) == [track["track_id"] for track in tracks]
    for row, track in zip(page.locator(".track-row").all(), tracks, strict=True):
        sign, word = ("✗", "wrong:") if track["is_wrong"] else ("✓", "right:")
        expect(row).to_contain_text(sign)
        expect(row).to_contain_text(word)
        expect(row).to_contain_text(f"{track['probability']:.2f}")
    expect(title(page)).to_have_text(tracks[0]["track_id"])
    expect(page.locator("#listen .player-stack")).to_be_visible()
    bars = page.locator("#listen .bars tr").all_inner_texts()
    ranked = sorted(tracks[0]["probabilities"].items(), key=lambda item: -item[1])
    assert [bar.split() for bar in bars] == [[label, f"{value:.2f}"] for label, value in ranked]


@needs_chromium
def test_filters_and_their_counts(page, tracks):
    def listed(fits: Any) -> None:
        wanted = [track["track_id"] for track in tracks if fits(track)]
        assert names(page) == wanted
        count = f"{len(wanted)} of {len(tracks)} tracks" if wanted else "No track is like that."
        expect(page.locator(".count")).to_have_text(count)

    first = tracks[0]
    field(page, "Label").select_option(first["label"])
    listed(lambda track: track["label"] == first["label"])
    found = [track for track in tracks if track["label"] == first["label"]]
    options = field(page, "Model says").locator("option").all_inner_texts()
    assert options[0] == f"any ({len(found)})"
    for label in CLASSES:
        n = sum(track["predicted"] == label for track in found)
        assert (f"{label} ({n})" in options) == (n > 0)
    field(page, "Model says").select_option(first["predicted"])
    listed(lambda track: (track["label"], track["predicted"]) == (first["label"], first["predicted"]))
    page.get_by_role("button", name="Clear filters").click()
    listed(lambda track: True)
    field(page, "Predictions").select_option("wrong")
    listed(lambda track: track["is_wrong"])
    field(page, "Predictions").select_option("right")
    listed(lambda track: not track["is_wrong"])
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Search").fill(f"{first['track_id'].upper()}  {first['predicted']}")
    listed(lambda track: track is first)
    page.get_by_label("Search").fill("no such thing")
    listed(lambda track: False)


@needs_chromium
def test_a_confusion_is_one_click(page, tracks):
    pair = next(f"{track['label']} → {track['predicted']}" for track in tracks if track["is_wrong"])
    button = page.locator(".chip", has_text=pair)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(button).to_be_focused()
    wanted = [track for track in tracks if f"{track['label']} → {track['predicted']}" == pair]
    assert names(page) == [track["track_id"] for track in wanted]
    expect(button).to_contain_text(str(len(wanted)))
    button.click()
    assert len(names(page)) == len(tracks)


@needs_chromium
def test_orders(page, tracks):
    order = field(page, "Order")
    order.select_option("name")
    assert names(page) == sorted(track["track_id"] for track in tracks)
    order.select_option("novelty")
    novelty = {track["track_id"]: track["novelty"] for track in tracks}
    assert names(page) == sorted(novelty, key=lambda name: -novelty[name])
    order.select_option("chance")
    first = names(page)
    assert sorted(first) == sorted(novelty)
    field(page, "Seed").fill("2")
    second = names(page)
    assert sorted(second) == sorted(first) != second
    field(page, "Seed").fill("1")
    assert names(page) == first


@needs_chromium
def test_keys_play_seek_and_step(page, tracks):
    expect(page.locator("#listen .player-stack")).to_be_visible()
    page.keyboard.press("Space")
    page.wait_for_function(f"!{PAUSED}")
    page.keyboard.press("Space")
    page.wait_for_function(PAUSED)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(TIME) == pytest.approx(3, abs=0.1)  # all of it
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(TIME) == 0
    for key, place in (("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0), ("k", 0)):
        page.keyboard.press(key)
        expect(title(page)).to_have_text(tracks[place]["track_id"])
    page.locator(".track-list").focus()
    page.keyboard.press("End")
    expect(title(page)).to_have_text(tracks[-1]["track_id"])
    expect(page.locator(".track-row[aria-selected=true]")).to_contain_text(tracks[-1]["track_id"])


@needs_chromium
def test_keys_work_after_a_click_on_the_tab(page, tracks):
    page.get_by_role("tab", name="Ask").click()
    tab = page.get_by_role("tab", name="Listen")
    tab.click()
    expect(tab).to_be_focused()
    page.keyboard.press("j")
    expect(title(page)).to_have_text(tracks[1]["track_id"])
    tab.focus()
    page.keyboard.press("ArrowRight")  # still goes to the next tab
    expect(page.get_by_role("tab", name="Map")).to_be_focused()


@needs_chromium
def test_large_text_leaves_room_for_the_list(visit, tracks):
    """The browser's setting for the size of text, which most people who need it use."""
    large = "() => { document.documentElement.style.fontSize = '200%'; }"
    visit.page.add_init_script(f"document.addEventListener('readystatechange', {large});")
    visit.page.reload(wait_until="networkidle")
    row = visit.page.locator(".track-row").first
    expect(row.locator(".track-name")).to_have_css("font-size", "32px")
    assert row.bounding_box()["height"] == 108
    assert visit.page.locator(".track-list").bounding_box()["height"] > 108
    assert visit.overflow() == 0


@needs_chromium
def test_a_field_that_is_typed_into_has_its_keys(page, tracks):
    page.get_by_label("Search").focus()
    page.keyboard.type("jamblu ?")
    expect(page.get_by_label("Search")).to_have_value("jamblu ?")
    expect(title(page)).to_have_text(tracks[0]["track_id"])
    page.keyboard.press("Control+a")
    assert not FILE.exists()


@needs_chromium
def test_the_help_says_all_keys(page):
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for word in ("play, pause", "ambiguous", "broken audio", "take the verdict back"):
        expect(dialog).to_contain_text(word)
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert not FILE.exists()


@needs_chromium
def test_verdicts_by_keys_and_what_they_change(page, tracks):
    wrong = [track for track in tracks if track["is_wrong"]]
    n_right = len(tracks) - len(wrong)
    page.keyboard.press("a")
    expect(said(page)).to_have_text(f"saved: {tracks[0]['track_id']} is ambiguous.")
    expect(title(page)).to_have_text(tracks[1]["track_id"])
    expect(title(page)).to_be_focused()
    expect(page.locator(".progress")).to_have_text(
        f"1 of {len(wrong)} wrong ones judged, 0 of {n_right} right ones"
    )
    expect(page.locator(".track-row").first).to_contain_text("ambiguous")
    page.keyboard.press("b")
    expect(said(page)).to_have_text(f"saved: {tracks[1]['track_id']} has broken audio.")
    page.keyboard.press("m")
    expect(said(page)).to_have_text(f"saved: the label of {tracks[2]['track_id']} is right.")
    given = [(row["track_id"], row["verdict"]) for row in rows()]
    assert given == [
        (track["track_id"], verdict)
        for track, verdict in zip(tracks, ("ambiguous", "broken_audio", "label_right"), strict=False)
    ]
    summary = page.locator(".summary")
    expect(summary).to_contain_text(f"git add {FILE} && encore run dataset.labels={FILE}")
    field(page, "Verdicts").select_option("unjudged")
    assert names(page) == [track["track_id"] for track in tracks[3:]]
    field(page, "Verdicts").select_option("judged")
    assert names(page) == [track["track_id"] for track in tracks[:3]]


@needs_chromium
def test_m_says_what_it_means_of_a_right_prediction(page, tracks):
    button = page.locator("[data-verdict=label_right]")
    expect(button).to_contain_text("Model wrong")
    right = next(track for track in tracks if not track["is_wrong"])
    page.locator(".track-row", has_text=right["track_id"]).click()
    expect(button).to_contain_text("Label and model right")


@needs_chromium
def test_the_right_class_is_chosen_by_number_by_letters_or_in_words(page, tracks):
    choice = page.get_by_role("combobox", name="Which class")

    def take(*keys: str) -> str:
        page.keyboard.press("l")
        expect(choice).to_be_focused()
        for key in keys:
            page.keyboard.press(key)
        n = len(rows()) if FILE.exists() else 0
        page.keyboard.press("Enter")
        expect(page.locator(".label-choice")).to_be_hidden()
        assert len(rows()) == n + 1
        return rows()[-1]["label"]

    assert take() == tracks[0]["predicted"]  # the most probable one
    others = sorted(
        (label for label in CLASSES if label != tracks[1]["label"]),
        key=lambda label: -tracks[1]["probabilities"][label],
    )
    assert take("2") == others[1]
    other = next(label for label in CLASSES if label != tracks[2]["label"])
    assert take(*other[:3].upper()) == other
    assert take(*"polka") == "polka"
    expect(said(page)).to_contain_text(f"{tracks[3]['track_id']} is polka")


@needs_chromium
def test_a_choice_that_is_left_gives_no_verdict(page, tracks):
    page.keyboard.press("l")
    page.keyboard.type(tracks[0]["label"])
    expect(page.locator(".label-choice")).to_contain_text("is its label already")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator("[data-verdict=label_wrong]")).to_be_focused()
    assert not FILE.exists()


@needs_chromium
def test_a_verdict_is_taken_back(page, tracks):
    page.keyboard.press("a")
    expect(title(page)).to_have_text(tracks[1]["track_id"])
    expect(page.get_by_role("button", name="Take back")).to_contain_text(tracks[0]["track_id"])
    page.keyboard.press("u")  # that track has no verdict: it is the last one
    expect(said(page)).to_have_text(f"taken back: {tracks[0]['track_id']} has no verdict now.")
    expect(title(page)).to_have_text(tracks[0]["track_id"])
    assert [row["verdict"] for row in rows()] == ["ambiguous", "withdrawn"]
    expect(page.get_by_role("button", name="Take back")).to_be_disabled()
    page.keyboard.press("u")
    page.keyboard.press("b")
    expect(said(page)).to_contain_text("broken audio")
    page.keyboard.press("k")
    expect(page.locator(".present")).to_contain_text("Your verdict: broken audio")
    expect(page.locator("[data-verdict=broken_audio]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("u")
    expect(said(page)).to_contain_text("taken back")
    assert len(rows()) == 4


@needs_chromium
def test_a_verdict_survives_that_the_server_is_killed(browser, tracks, module_workspace):
    with serving(module_workspace) as dying, visiting(browser, dying.address) as visit:
        opened(visit)
        visit.page.keyboard.press("a")
        expect(said(visit.page)).to_contain_text("saved")
        dying.kill()
        visit.page.keyboard.press("b")
        problem = visit.page.locator(".judging .problem")
        expect(problem).to_contain_text(f"{tracks[1]['track_id']}: not saved: the server does not answer")
        expect(said(visit.page)).to_be_hidden()
        expect(title(visit.page)).to_have_text(tracks[1]["track_id"])
        expect(visit.page.locator(".present")).to_have_text("Is the label right?")
        assert visit.page.locator(".track-row .badge").all_inner_texts() == ["ambiguous"]
        visit.errors.clear()  # the browser's own, on the connection
    with serving(module_workspace) as after, visiting(browser, after.address) as visit:
        opened(visit)
        row = visit.page.locator(".track-row").first
        expect(row).to_contain_text(tracks[0]["track_id"])
        expect(row).to_contain_text("ambiguous")
        expect(visit.page.locator(".track-row .badge")).to_have_count(1)


@needs_chromium
def test_what_is_refused_is_not_shown_as_taken(visit, tracks):
    """Somebody edits the file wrongly while the page is open, and mends it."""
    page = visit.page
    page.keyboard.press("a")
    expect(said(page)).to_contain_text("saved")
    content = FILE.read_text()
    FILE.write_text(content.replace(",ambiguous,", ",nonsense,"))
    page.keyboard.press("b")
    expect(page.locator(".judging .problem")).to_contain_text("line 2: verdict is 'nonsense'")
    expect(page.locator(".present")).to_have_text("Is the label right?")
    visit.errors.clear()  # the browser's own, on status 422
    page.reload()
    expect(page.locator("#listen > .problem")).to_contain_text("line 2: verdict is 'nonsense'")
    expect(page.locator(".track-row .badge")).to_have_count(0)
    FILE.write_text(content)
    page.get_by_role("tab", name="Ask").click()
    page.get_by_role("tab", name="Listen").click()
    expect(page.locator("#listen > .problem")).to_be_hidden()
    expect(page.locator(".track-row .badge")).to_have_text(["ambiguous"])
    expect(page.locator(".summary")).to_be_visible()


@needs_chromium
def test_who_has_gone_on_while_a_verdict_is_saved_is_not_taken_back(page, tracks):
    """A slow disk: the track that is heard by then stays."""
    held: list[Route] = []
    page.route("**/verdict", lambda route: held.append(route))
    page.keyboard.press("a")
    page.keyboard.press("a")  # impatient: one verdict at a time
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(title(page)).to_have_text(tracks[2]["track_id"])
    (route,) = held
    route.continue_()
    expect(said(page)).to_have_text(f"saved: {tracks[0]['track_id']} is ambiguous.")
    expect(title(page)).to_have_text(tracks[2]["track_id"])
    expect(page.locator(".track-row").first).to_contain_text("ambiguous")
    assert [row["track_id"] for row in rows()] == [tracks[0]["track_id"]]


@needs_chromium
def test_a_verdict_that_comes_before_the_summary_is_shown_as_saved(browser, server, tracks):
    held: list[Route] = []
    with visiting(browser, server.address) as visit:
        page = visit.page
        page.route("**/verdicts", lambda route: held.append(route), times=1)
        page.goto(f"{server.address}/#listen")
        expect(title(page)).to_have_text(tracks[0]["track_id"])
        page.keyboard.press("a")
        expect(said(page)).to_have_text(f"saved: {tracks[0]['track_id']} is ambiguous.")
        expect(page.locator(".judging .problem")).to_be_empty()
        (first,) = held
        first.continue_()
        expect(page.locator(".summary")).to_contain_text("1 of 3 wrong predictions were judged")


@needs_chromium
def test_a_table_that_a_person_has_made_is_shown_and_left_as_it_is(browser, server, tracks):
    FILE.parent.mkdir(exist_ok=True)
    content = f"track_id,verdict,label\n{tracks[0]['track_id']},ambiguous,\n"
    FILE.write_text(content)
    with visiting(browser, server.address) as visit:
        opened(visit)
        expect(visit.page.locator(".present")).to_have_text("Your verdict: ambiguous")
        visit.page.keyboard.press("b")
        expect(visit.page.locator(".judging .problem")).to_contain_text(
            "not saved: data/verdicts/me.csv: its"
        )
        assert FILE.read_text() == content
        assert len(visit.errors) == 1
        visit.errors.clear()


@needs_chromium
def test_a_second_reviewer_is_unseen_until_one_has_judged(page, tracks):
    by_another(tracks[0], "label_wrong", "polka")
    by_another(tracks[1], "ambiguous", "")
    page.reload()
    page.get_by_label("Lay beside").select_option("anna")
    expect(page.locator(".summary")).to_contain_text("judged 0 tracks in common")
    assert "polka" not in page.locator("#listen").inner_text()
    page.keyboard.press("Escape")
    title(page).focus()
    page.keyboard.press("m")
    expect(said(page)).to_contain_text("saved")
    page.keyboard.press("a")
    expect(said(page)).to_contain_text("ambiguous")
    summary = page.locator(".summary")
    expect(summary).to_contain_text("judged 2 tracks in common, with the same verdict on 50 % of them")
    expect(summary).to_contain_text("Cohen's kappa, which takes away what chance would bring, is 0.33")
    expect(summary).to_contain_text("you: label right; anna: label wrong (polka)")
    page.locator(".differences button").click()
    expect(title(page)).to_have_text(tracks[0]["track_id"])


@needs_chromium
def test_a_busy_server_is_asked_again(visit, tracks):
    page = visit.page
    answers = iter([503, 503])

    def busy(route: Route) -> None:
        if (status := next(answers, None)) is None:
            route.continue_()
            return
        body = json.dumps({"error": "too many questions are waiting; try again in a moment"})
        route.fulfill(status=status, headers={"retry-after": "1"}, content_type="application/json", body=body)

    page.route(f"**/tracks/{tracks[1]['id']}/over-time", busy)
    expect(page.locator("#listen .player-stack")).to_be_visible()
    page.keyboard.press("j")
    line = page.locator("#listen .listening")
    expect(line).to_contain_text("too many questions are waiting")
    expect(line).to_contain_text("appears here by itself")
    expect(page.locator("#listen .player-stack")).to_be_visible()
    expect(line).to_be_hidden()
    visit.errors.clear()  # the browser's own, on status 503


@needs_chromium
def test_twenty_thousand_tracks_are_a_few_rows(browser, server, tracks):
    n = 20_000
    many = [{**tracks[i % len(tracks)], "id": f"{i:016x}", "track_id": f"track {i:05d}"} for i in range(n)]
    body = json.dumps({"total": n, "tracks": many, "problem": ""})
    with visiting(browser, server.address) as visit:
        page = visit.page
        page.route(
            "**/tracks?split=test", lambda route: route.fulfill(content_type="application/json", body=body)
        )
        page.route(
            "**/over-time",
            lambda route: route.fulfill(content_type="application/json", status=200, body="{}"),
        )
        page.route("**/audio", lambda route: route.fulfill(path=Path("data/raw/music") / tracks[0]["name"]))
        opened(visit)
        expect(page.locator(".count")).to_have_text(f"{n} of {n} tracks")
        assert page.locator(".track-row").count() < 60
        page.locator(".track-list").focus()
        page.keyboard.press("End")
        expect(title(page)).to_have_text(f"track {n - 1:05d}")
        chosen = page.locator(".track-row[aria-selected=true]")
        expect(chosen).to_be_in_viewport()
        expect(chosen).to_have_attribute("aria-posinset", str(n))
        assert page.locator(".track-row").count() < 60
        page.get_by_label("Search").fill("track 1234")
        expect(page.locator(".count")).to_have_text(f"12 of {n} tracks")


@needs_chromium
def test_the_command_is_copied(browser, server, tracks):
    server.ask("POST", f"/tracks/{tracks[0]['id']}/verdict", {"verdict": "ambiguous"})
    allowed = ["clipboard-read", "clipboard-write"]
    with visiting(browser, server.address, permissions=allowed) as visit:
        opened(visit)
        visit.page.get_by_role("button", name="Copy").click()
        expect(visit.page.get_by_role("button", name="Copied")).to_be_visible()
        copied = visit.page.evaluate("navigator.clipboard.readText()")
        assert copied == f"git add {FILE} && encore run dataset.labels={FILE}"


@needs_chromium
def test_a_track_that_is_not_in_test_can_be_judged(page, server):
    track = server.get("/tracks?split=train&limit=1").json["tracks"][0]
    detail = json.dumps({"tab": "listen", "track": track["id"]})
    page.evaluate(f"document.dispatchEvent(new CustomEvent('encore:show', {{detail: {detail}}}))")
    expect(title(page)).to_have_text(track["track_id"])
    expect(page.locator(".facts")).to_contain_text("no prediction: the track is in train")
    page.keyboard.press("a")
    expect(said(page)).to_contain_text(f"{track['track_id']} is ambiguous")
    expect(page.locator(".summary")).to_contain_text("1 verdict on tracks that are not in test")
    field(page, "Verdicts").select_option("judged")
    assert names(page) == [track["track_id"]]


@needs_chromium
def test_without_an_evaluation_it_says_what_to_do(browser, tracks, module_workspace):
    away = Path("data/evaluation").rename("data/away")
    try:
        with serving(module_workspace) as bare, visiting(browser, bare.address) as visit:
            visit.go("/#listen")
            reason = bare.get("/about").json["dataset"]["reason"]
            assert "make repro" in reason
            expect(visit.page.locator("#listen")).to_contain_text(reason)
    finally:
        away.rename("data/evaluation")


@needs_chromium
@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_nobody_is_kept_out(browser, server, tracks, scheme, width):
    by_another(tracks[0], "ambiguous", "")
    server.ask("POST", f"/tracks/{tracks[0]['id']}/verdict", {"verdict": "label_wrong", "label": "polka"})
    with visiting(browser, server.address, scheme, width) as visit:
        page = visit.page
        opened(visit)
        page.get_by_label("Lay beside").select_option("anna")
        expect(page.locator(".differences")).to_be_visible()
        assert visit.barriers() == []
        assert visit.overflow() == 0
        page.locator(".track-row").nth(1).click()
        expect(page.locator("#listen .player-stack")).to_be_visible()
        expect(page.locator(".left")).to_be_visible(visible=width != NARROW)
        page.locator("[data-verdict=label_wrong]").click()
        expect(page.locator(".label-choice")).to_be_visible()
        assert visit.barriers() == []
        assert visit.overflow() == 0
        page.get_by_role("button", name="Leave it").click()
        page.get_by_role("button", name="All keys").click()
        assert visit.barriers() == []
        page.get_by_role("button", name="Close").click()
        if width == NARROW:
            page.get_by_role("button", name="Back to the list").click()
            expect(page.locator(".left")).to_be_visible()
            expect(page.locator(".detail")).to_be_hidden()
            expect(page.locator(".track-list")).to_be_focused()
