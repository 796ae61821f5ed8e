"""The tab Ask and the player in a real Chromium, with a real server behind them."""

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from tests.asking import asked
from tests.browser import CHROMIUM, LOOKS, QUIET, Visit, launched, needs_chromium, visiting
from tests.serving import Server, make_project, serving
from tests.synthetic import CLASSES, RATE_HZ, noise, tone

pytestmark = pytest.mark.slow
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
DROP = """([name, content]) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (sign) => sign.charCodeAt(0));
  transfer.items.add(new File([bytes], name));
  return transfer;
}"""
HEAD = "document.querySelector('.player-head').getBoundingClientRect().left"


@pytest.fixture(scope="module")
def music(module_workspace: Path) -> Path:
    return make_project(module_workspace)


@pytest.fixture(scope="module")
def server(music: Path, module_workspace: Path) -> Iterator[Server]:
    with serving(module_workspace) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@contextmanager
def opened(browser: Browser, server: Server, *look: Any) -> Iterator[Visit]:
    """Open the tab."""
    with visiting(browser, server.address, *look) as visit:
        visit.go("/#ask")
        yield visit
        pardon(visit, "/similar?k=5", "status of 503")  # while the music is heard for the first time


def pardon(visit: Visit, *parts: str) -> None:
    """Take what a test has provoked out of the errors of a page."""
    visit.errors[:] = [line for line in visit.errors if not all(part in line for part in parts)]


@contextmanager
def another(browser: Browser, *words: str) -> Iterator[Browser]:
    """Run another browser, with more words on its command line."""
    made = browser.browser_type.launch(executable_path=CHROMIUM, args=[*QUIET, *words])
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    with opened(browser, server) as visit:
        yield visit


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit.page


@pytest.fixture(scope="module")
def song(music: Path) -> Path:
    """Five seconds of two genres, one after the other."""
    path = music.parent / "song.wav"
    samples = np.concatenate([tone(3 * RATE_HZ, 200), tone(2 * RATE_HZ, 1800)]) + noise(5 * RATE_HZ, 0, 0.1)
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return path


def until(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait for something on a page; the content security policy forbids how Playwright would."""
    for _ in range(200):
        if is_so():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come to be in 10 s")


def choose(page: Page, path: Path) -> None:
    """Choose a file, and wait for the answer."""
    page.locator("input[type=file]").set_input_files(path)
    page.locator(".answer .genre").wait_for()


def drop(page: Page, name: str, content: bytes) -> None:
    transfer = page.evaluate_handle(DROP, [name, base64.b64encode(content).decode()])
    page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})


def words_of(answer: dict) -> str:
    return (
        f"{answer['genre']}, with a probability of {answer['probability']:.2f}; "
        f"then {answer['second']}, {answer['second_probability']:.2f}."
    )


@needs_chromium
def test_of_long_midi_it_says_how_much_was_heard(page, tmp_path):
    notes = [mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=480)]  # half a second
    file = mido.MidiFile(type=0, ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack(notes * 80))
    file.save(tmp_path / "long.mid")
    choose(page, tmp_path / "long.mid")
    expect(page.locator(".what")).to_have_text("long.mid, 1 kB")
    expect(page.locator(".said .muted")).to_contain_text(
        "0:40 of music, of which 0:30 was heard, answered in"
    )


@needs_chromium
class TestAnswer:
    @pytest.mark.parametrize("how", ["chosen", "dropped"])
    def test_a_file_gets_the_answer_of_the_command(self, page, song, how, monkeypatch, capsys):
        document = json.loads(asked(monkeypatch, capsys, "predict", str(song), "--json"))
        (wanted,) = document["files"]
        if how == "chosen":
            choose(page, song)
        else:
            drop(page, "song.wav", song.read_bytes())
        expect(page.locator(".sentence")).to_have_text(words_of(wanted))
        known = "unlike anything the model learnt from" if wanted["is_new"] else "like music it learnt from"
        expect(page.locator(".novelty")).to_have_text(f"Novelty {wanted['novelty']:.2f}: {known}.")
        ranked = sorted(wanted["probabilities"].items(), key=lambda item: -item[1])
        rows = page.locator(".bars tr").all()
        assert [(row.locator("th").inner_text(), row.locator(".number").inner_text()) for row in rows] == [
            (label, f"{probability:.2f}") for label, probability in ranked
        ]
        expect(page.locator(".worth")).to_contain_text("Of music unlike that, the answer says little.")
        spoken = page.locator("[role=status].visually-hidden")
        expect(spoken).to_contain_text(words_of(wanted))

    def test_another_file_replaces_the_first(self, page, song, music):
        choose(page, song)
        page.locator("input[type=file]").set_input_files(music / CLASSES[1] / "00.wav")
        expect(page.locator(".said h2")).to_have_text("00.wav")
        expect(page.locator(".player-time")).to_have_text("0:00 / 0:03")

    def test_music_that_is_new_to_the_model_is_said_to_be(self, page, server, song):
        answer = server.ask("POST", "/predict?name=song.wav&over_time=true", song.read_bytes()).json
        answer |= {"is_new": True, "novelty": 0.9}
        page.route("**/predict*", lambda route: route.fulfill(json=answer))
        choose(page, song)
        expect(page.locator(".novelty")).to_have_text("Novelty 0.90: unlike anything the model learnt from.")

    def test_a_file_that_is_read_in_part_says_so(self, page, song, tmp_path):
        path = tmp_path / "half.wav"
        path.write_bytes(song.read_bytes()[: -2 * RATE_HZ])
        choose(page, path)
        expect(page.locator(".note")).to_contain_text("should last 5.00 s, but 4.00 s can be read")

    def test_an_answer_without_a_picture_says_why(self, page, server, song):
        answer = server.ask("POST", "/predict?name=song.mid", song.read_bytes()).json
        why = "it is played in 3 windows, as for the training: they have no common time"
        page.route("**/predict*", lambda route: route.fulfill(json=answer | {"over_time_problem": why}))
        choose(page, song)
        expect(page.locator(".heard")).to_contain_text(f"No picture: {why}.")
        expect(page.locator(".player-stack")).to_be_hidden()
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_enabled()

    def test_a_format_that_the_browser_cannot_play_is_answered(self, page, song, tmp_path):
        path = tmp_path / "song.aiff"
        soundfile.write(path, *soundfile.read(song))
        choose(page, path)
        expect(page.locator(".player-problem")).to_have_text(
            "This browser cannot play this format, though the model can hear it."
        )
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_disabled()


@needs_chromium
class TestSimilar:
    def test_a_track_of_the_dataset_finds_itself_and_is_played(self, page, music):
        choose(page, music / CLASSES[0] / "00.wav")
        rows = page.locator(".similar li")
        expect(rows).to_have_count(5, timeout=60_000)  # all music is heard first
        first = rows.first
        expect(first.locator(".name")).to_have_text(f"{CLASSES[0]}/00.wav")
        expect(first.locator(".muted")).to_have_text(f"{CLASSES[0]}, very similar, 1.00 same recording")
        first.get_by_role("button").click()
        page.get_by_role("button", name=f"Pause {CLASSES[0]}/00.wav").wait_for()

    @pytest.fixture
    def listed(self, visit, server, song):
        """Real tracks, which are found at the second try; the answer waits for them."""
        tracks = server.get("/tracks?split=test").json["tracks"][:3]
        found = [
            {
                "id": track["id"],
                "name": track["name"],
                "genre": track["label"],
                "is_predicted": number == 2,
                "artist": "Nobody" if number == 1 else "",
                "similarity": 0.98 - 0.2 * number,
                "same_recording": number == 0,
                "audio": track["audio"],
            }
            for number, track in enumerate(tracks)
        ]
        tries = []

        def answer(route):
            tries.append(route.request.url)
            if len(tries) > 1:
                route.fulfill(json={"tracks": found})
            else:
                error = {"error": "The music is being heard for the first time: 3 of 18 tracks"}
                route.fulfill(status=503, headers={"retry-after": "2"}, json=error)

        visit.page.route("**/similar*", answer)
        choose(visit.page, song)
        yield found
        pardon(visit, "/similar", "status of 503")

    def test_they_appear_when_the_index_is_ready(self, page, listed):
        expect(page.locator(".beside")).to_contain_text(
            "The music is being heard for the first time: 3 of 18 tracks. The list appears here by itself."
        )
        rows = page.locator(".similar li")
        expect(rows).to_have_count(3)
        words = ("very similar, 0.98 same recording", "similar, 0.78", "somewhat similar, 0.58")
        for row, track, how in zip(rows.all(), listed, words, strict=True):
            genre = f"{track['genre']} (predicted)" if track["is_predicted"] else track["genre"]
            expect(row.locator(".name")).to_have_text(track["name"])
            artist = f"{track['artist']}, " if track["artist"] else ""
            expect(row.locator(".muted")).to_have_text(f"{artist}{genre}, {how}")

    def test_one_sound_is_heard_at_a_time(self, page, listed):
        names = [f"Play {track['name']}" for track in listed]
        page.get_by_role("button", name=names[0], exact=True).click()
        page.get_by_role("button", name=f"Pause {listed[0]['name']}", exact=True).wait_for()
        page.get_by_role("button", name=names[1], exact=True).click()
        page.get_by_role("button", name=f"Pause {listed[1]['name']}", exact=True).wait_for()
        page.get_by_role("button", name=names[0], exact=True).wait_for()
        page.get_by_role("button", name="Play", exact=True).click()
        page.get_by_role("button", name=names[1], exact=True).wait_for()
        page.get_by_role("button", name="Pause", exact=True).wait_for()


@needs_chromium
class TestProblems:
    @pytest.mark.parametrize(
        ("content", "line"),
        [
            (b"no music", "odd <b>name</b>.mp3: it cannot be decoded"),
            (b"", "odd <b>name</b>.mp3: is an empty file"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_named_with_the_reason(self, visit, content, line):
        drop(visit.page, "odd <b>name</b>.mp3", content)
        expect(visit.page.locator("#ask [role=alert]")).to_contain_text(line)
        expect(visit.page.locator(".answer")).to_be_hidden()
        expect(visit.page.locator(".waiting")).to_be_hidden()
        pardon(visit, "status of 422")

    def test_a_file_that_is_too_large_is_not_sent(self, page):
        page.locator(".drop").evaluate(
            """(place) => {
              const transfer = new DataTransfer();
              transfer.items.add(new File([new Uint8Array(200_000_001)], "long.wav"));
              place.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
            }"""
        )
        expect(page.locator("#ask [role=alert]")).to_have_text(
            "long.wav: has 200.0 MB; at most 200 MB are taken"
        )

    def test_several_files_are_one_question(self, page, song):
        content = base64.b64encode(song.read_bytes()).decode()
        transfer = page.evaluate_handle(DROP, ["a.wav", content])
        transfer.evaluate("it => it.items.add(new File(['x'], 'b.wav'))")
        page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
        expect(page.locator("#ask [role=alert]")).to_contain_text("of 2 files a.wav is asked about")
        expect(page.locator(".said h2")).to_have_text("a.wav")

    def test_a_file_that_is_dropped_on_another_tab_is_asked_about(self, browser, server, song):
        """Also if the tab Ask was never shown: else the browser would leave the page for the file."""
        with visiting(browser, server.address) as visit:
            page = visit.page
            visit.go("/#map")
            content = base64.b64encode(song.read_bytes()).decode()
            transfer = page.evaluate_handle(DROP, ["a.wav", content])
            page.dispatch_event("body", "drop", {"dataTransfer": transfer})
            expect(page.get_by_role("tab", name="Ask")).to_have_attribute("aria-selected", "true")
            expect(page.locator(".said h2")).to_have_text("a.wav")

    def test_a_busy_server_is_asked_again(self, visit, song):
        tries = []

        def busy(route):
            tries.append(route.request.url)
            if len(tries) > 1:
                route.fallback()
            else:
                route.fulfill(status=503, headers={"retry-after": "1"}, json={"error": "all are at work"})

        visit.page.route("**/predict*", busy)
        visit.page.locator("input[type=file]").set_input_files(song)
        expect(visit.page.locator(".status")).to_have_text("The server is busy; trying again in 2 s.")
        visit.page.locator(".answer .genre").wait_for()
        assert len(tries) == 2
        pardon(visit, "/predict", "status of 503")

    def test_a_question_can_be_cancelled(self, page, song):
        page.route("**/predict*", lambda route: None)  # no answer ever
        page.locator("input[type=file]").set_input_files(song)
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".status")).to_have_text("Cancelled.")
        expect(page.locator(".waiting")).to_be_hidden()
        expect(page.get_by_role("button", name="Choose a file")).to_be_focused()
        page.unroute("**/predict*")
        choose(page, song)

    def test_a_server_that_is_gone_is_said_to_be(self, visit, song):
        visit.page.route("**/predict*", lambda route: route.abort("connectionrefused"))
        visit.page.locator("input[type=file]").set_input_files(song)
        expect(visit.page.locator("#ask [role=alert]")).to_contain_text("is `encore serve` still running?")
        pardon(visit, "/predict", "net::ERR_CONNECTION_REFUSED")


@needs_chromium
class TestPlayer:
    @pytest.mark.parametrize("motion", ["no-preference", "reduce"])
    def test_the_playhead_moves_while_it_plays(self, page, song, motion):
        page.emulate_media(reduced_motion=motion)
        choose(page, song)
        page.get_by_role("button", name="Play", exact=True).click()
        before = page.evaluate(HEAD)
        until(page, lambda: page.evaluate(HEAD) > before + 60)
        page.get_by_role("button", name="Pause", exact=True).click()
        assert page.locator("audio").first.evaluate("it => it.paused")

    def test_a_click_and_a_drag_on_the_picture_seek(self, page, song):
        choose(page, song)
        canvas = page.locator(".player-stack canvas")
        box = canvas.bounding_box()
        middle = box["x"] + 46 + (box["width"] - 56) / 2
        page.mouse.click(middle, box["y"] + 100)
        expect(page.locator(".player-time")).to_have_text("0:02 / 0:05")
        assert page.evaluate(HEAD) == pytest.approx(middle, abs=2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 10, box["y"] + 300, steps=4)
        page.mouse.up()
        expect(page.locator(".player-time")).to_have_text("0:05 / 0:05")

    def test_hovering_tells_second_genre_and_probability(self, page, song):
        choose(page, song)
        page.locator(".player-stack canvas").hover(position={"x": 200, "y": 100})
        expect(page.locator(".player-reading")).to_have_text(
            re.compile(r"^0:01: \w+ [01]\.\d\d, then \w+ [01]\.\d\d, novelty \d\.\d\d$")
        )

    def test_keys_alone_ask_play_and_seek(self, page, song):
        page.on("filechooser", lambda _: None)  # from now on the browser shows none; that takes it a moment
        page.get_by_role("tab", name="Ask").focus()
        for name in ("API", "Choose a file"):
            page.keyboard.press("Tab")
            expect(page.locator(":focus")).to_have_text(name)
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(song)
        page.locator(".answer .genre").wait_for()
        for _ in range(3):
            page.keyboard.press("Tab")
        slider = page.get_by_role("slider", name="Position")
        expect(slider).to_be_focused()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        expect(page.locator(".player-time")).to_have_text("0:02 / 0:05")
        assert slider.get_attribute("aria-valuetext").startswith("0:02: ")
        page.keyboard.press("PageUp")
        expect(page.locator(".player-time")).to_have_text("0:05 / 0:05")
        page.keyboard.press("Home")
        page.keyboard.press("Space")
        page.get_by_role("button", name="Pause", exact=True).wait_for()
        page.keyboard.press("Space")
        page.get_by_role("button", name="Play", exact=True).wait_for()
        page.keyboard.press("Tab")  # the table
        page.keyboard.press("Enter")
        expect(page.locator(".player-table tbody tr")).to_have_count(5)

    @pytest.mark.parametrize(
        ("seconds", "classes", "rows", "sentence"),
        [
            (1, 2, 1, "Over time: genre 0 from start to end."),
            (30, 10, 30, "Over time: genre 0 from 0 to 15 s, then genre 1 from 15 to 30 s."),
            (
                10_800,
                100,
                600,
                "Over time: genre 0 from 0:00 to 1:30:00, then genre 1 from 1:30:00 to 3:00:00.",
            ),
        ],
    )
    def test_a_piece_of_any_length_and_number_of_classes(self, page, seconds, classes, rows, sentence):
        show(page, seconds, classes)
        expect(page.locator("#piece .player-summary")).to_have_text(sentence)
        assert page.locator("#piece .player-legend li").count() <= 9
        page.locator("#piece summary").click()
        expect(page.locator("#piece tbody tr")).to_have_count(rows)
        assert colours_in(page) > 50

    def test_the_picture_follows_width_and_colour_scheme(self, page):
        show(page, 30, 3)
        wide, light = page.evaluate(CANVAS_WIDTH), page.evaluate(PIXELS)
        page.emulate_media(color_scheme="dark")
        until(page, lambda: page.evaluate(PIXELS) != light)
        page.set_viewport_size({"width": 390, "height": 800})
        until(page, lambda: page.evaluate(CANVAS_WIDTH) < wide)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


CANVAS_WIDTH = "document.querySelector('#piece canvas').width"
PIXELS = "document.querySelector('#piece canvas').toDataURL()"
PIECE = """async ([seconds, classes]) => {
  const { Player } = await import("/page/player.js");
  const columns = Math.min(4096, seconds * 43);
  const labels = Array.from({ length: classes }, (_, i) => `genre ${i}`);
  const rest = 0.2 / classes;
  const rowAt = (_, t) => labels.map((_, i) => rest + (i === (2 * t < seconds ? 0 : 1) ? 0.8 : 0));
  const mel = Array.from({ length: 96 * columns }, (_, i) => String.fromCharCode(i * 7 % 256)).join("");
  const picture = {
    column_s: seconds / columns,
    low: Array(columns).fill(-0.5),
    high: Array(columns).fill(0.5),
    mel: btoa(mel),
    n_mels: 96,
    n_columns: columns,
    mel_db: [-80, 0],
    mel_hz: Array.from({ length: 96 }, (_, i) => 40 + 100 * i),
  };
  const probability = Array.from({ length: seconds }, rowAt);
  const overTime = { labels, probability, novelty: probability.map(() => 0.3), picture };
  const container = document.createElement("div");
  container.id = "piece";
  document.querySelector("#main").prepend(container);
  new Player(container).load({ name: "piece", audioUrl: "/page/icon.svg", overTime, threshold: 0.2 });
}"""


def show(page: Page, seconds: int, classes: int) -> None:
    """Put a player with a made-up piece on the page."""
    page.evaluate(PIECE, [seconds, classes])
    expect(page.locator("#piece .player-problem")).not_to_be_empty()  # it has no sound


def colours_in(page: Page) -> int:
    return page.evaluate(
        """() => {
          const canvas = document.querySelector("#piece canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )


@needs_chromium
class TestMicrophone:
    def test_wav_is_what_soundfile_reads(self, page):
        samples = [0.0, 0.5, -0.5, 1.5, -1.5, 1 / 32768]
        content = page.evaluate(
            """async (samples) => {
              const { wav } = await import("/page/wav.js");
              const blocks = [new Float32Array(samples.slice(0, 2)), new Float32Array(samples.slice(2))];
              return btoa(String.fromCharCode(...new Uint8Array(wav(blocks, 44100))));
            }""",
            samples,
        )
        with soundfile.SoundFile(io.BytesIO(base64.b64decode(content))) as file:
            assert (file.samplerate, file.channels, file.subtype) == (44100, 1, "PCM_16")
            assert file.read(dtype="int16").tolist() == [0, 16384, -16384, 32767, -32768, 1]

    def test_what_is_heard_is_asked_about(self, browser, server, tmp_path):
        path = tmp_path / "heard.wav"
        soundfile.write(path, tone(4 * 48000, 600, 48000), 48000, subtype="PCM_16")
        device = f"--use-file-for-fake-audio-capture={path}"
        with another(browser, *FAKE, device) as hearing, opened(hearing, server) as visit:
            page = visit.page
            page.evaluate(
                """() => {
                  const make = URL.createObjectURL;
                  URL.createObjectURL = (blob) => { window.recorded = blob; return make(blob); };
                }"""
            )
            page.get_by_role("button", name="Record").click()
            until(page, lambda: page.locator(".recorder .number").inner_text() >= "0:02")
            assert int(page.get_by_role("meter").get_attribute("aria-valuenow")) > 50
            page.get_by_role("button", name="Stop and ask").click()
            page.locator(".answer .genre").wait_for()
            expect(page.locator(".said h2")).to_have_text("recording.wav")
            content = page.evaluate(
                """async () => {
                  const bytes = new Uint8Array(await window.recorded.arrayBuffer());
                  let text = "";
                  for (const byte of bytes) text += String.fromCharCode(byte);
                  return btoa(text);
                }"""
            )
            samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(content)))
            assert samples.ndim == 1
            assert len(samples) >= 2 * rate_hz
            middle = samples[rate_hz // 2 : rate_hz // 2 + rate_hz]
            spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
            assert spectrum.argmax() == pytest.approx(600, abs=1)
            expect(page.locator(".recorder")).to_be_hidden()

    def test_a_recording_can_be_discarded(self, browser, server):
        with another(browser, *FAKE) as hearing, opened(hearing, server) as visit:
            visit.page.get_by_role("button", name="Record").click()
            visit.page.get_by_role("button", name="Discard").click()
            expect(visit.page.locator(".recorder")).to_be_hidden()
            expect(visit.page.locator(".waiting")).to_be_hidden()
            expect(visit.page.get_by_role("button", name="Record")).to_be_focused()

    @pytest.mark.parametrize(
        ("words", "line"),
        [
            ((), "there is no microphone"),
            (
                ("--use-fake-device-for-media-stream", "--deny-permission-prompts"),
                "the microphone was refused; allow it in the browser's settings of this page",
            ),
        ],
        ids=["missing", "refused"],
    )
    def test_no_microphone_is_said_in_words(self, browser, server, words, line):
        with another(browser, *words) as deaf, opened(deaf, server) as visit:
            visit.page.get_by_role("button", name="Record").click()
            expect(visit.page.locator("#ask [role=alert]")).to_have_text(line)
            expect(visit.page.get_by_role("button", name="Record")).to_be_enabled()


@needs_chromium
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_nothing_bars_people_from_it(browser, server, song, look):
    with opened(browser, server, *look) as visit:
        assert visit.barriers() == []
        choose(visit.page, song)
        expect(visit.page.locator(".similar li")).to_have_count(5, timeout=60_000)
        visit.page.locator(".player-table summary").click()
        assert visit.barriers() == []
        assert visit.overflow() == 0
