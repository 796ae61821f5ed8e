"""The pictures stage: labelled pages of any music under any name."""

import dataclasses
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import librosa
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from stages import pictures
from stages.core.params import check
from stages.core.tables import AudioTrack, read_rows, write_rows
from stages.features.catalogue import extract
from stages.features.params import FeaturesParams
from stages.plots import figures, pages, spectrograms
from tests.synthetic import (
    RATE_HZ,
    SMALL,
    composed_sections,
    edit_params,
    line_of,
    noise,
    tone,
    write_audio,
    write_params,
)

pytestmark = pytest.mark.slow

MUSIC = noise(3 * RATE_HZ)
SILENCE = np.zeros(2 * RATE_HZ, np.float32)


def features_of(*overrides: str, rate_hz: int = RATE_HZ) -> dict:
    """What a page shows under some settings of the section `features`."""
    values = composed_sections(*SMALL, *overrides)["features"]
    return pages.page_features(check(values, FeaturesParams, "features"), rate_hz)


def page_of(samples: np.ndarray, *overrides: str, rate_hz: int = RATE_HZ) -> Figure:
    return spectrograms.page(samples, features_of(*overrides, rate_hz=rate_hz), "jazz", "jazz/00.wav")


def panels(page: Figure) -> list:
    """Waveform, mel, MFCC and chroma, without their colour bars."""
    return page.axes[:4]


def labels_of(ticks) -> list[str]:
    return [label.get_text() for label in ticks]


def write_tracks(labels: Mapping[str, str], *overrides: str, rate_hz: int = RATE_HZ) -> None:
    """A track of noise for each track_id, with these labels, and params.yaml."""
    waveforms = {name: noise(2 * rate_hz, seed) for seed, name in enumerate(labels)}
    write_audio(waveforms, rate_hz)
    path = Path("data/audio/tracks.csv")
    rows = [dataclasses.replace(row, label=labels[row.track_id]) for row in read_rows(path, AudioTrack)]
    write_rows(path, rows, AudioTrack)
    write_params(f"audio.sample_rate_hz={rate_hz}", *overrides)


def drawn() -> dict[str, bytes]:
    folder = Path("data/pictures")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


class TestPage:
    """The picture of a track."""

    def test_title_is_class_and_track(self):
        texts = [text.get_text() for text in page_of(MUSIC).texts]
        assert texts == ["jazz", "jazz/00.wav"]
        page = spectrograms.page(MUSIC, features_of(), "", "x" * 300)
        heading, name = [text.get_text() for text in page.texts]
        assert heading == "unlabelled"
        assert len(name) < 110

    def test_axes_have_names_and_units(self):
        page = page_of(MUSIC)
        wave, mel, mfcc, chroma = panels(page)
        assert chroma.get_xlabel() == "time in s"
        assert wave.get_ylabel() == "amplitude"
        assert mel.get_ylabel() == "frequency in Hz (mel scale)"
        assert mfcc.get_ylabel() == "coefficient"
        assert chroma.get_ylabel() == "pitch class"
        bars = [axes.get_ylabel().replace("\n", " ") for axes in page.axes[4:]]
        assert bars == [
            "dB, the page's maximum at 0",
            "standard deviations from the coefficient's mean",
            "energy, the frame's strongest at 1",
        ]

    def test_all_panels_have_the_same_time_axis(self):
        assert {axes.get_xlim() for axes in panels(page_of(MUSIC))} == {(0.0, 3.0)}

    def test_a_click_appears_at_its_time_in_every_panel(self):
        samples = np.zeros(4 * RATE_HZ, np.float32)
        samples[3 * RATE_HZ] = 0.9
        for axes in panels(page_of(samples))[1:]:
            image = axes.images[0]
            left, right = image.get_extent()[:2]
            values = np.abs(np.asarray(image.get_array())).sum(axis=0)
            usual = np.median(values)
            unusual = np.flatnonzero(np.abs(values - usual) > 1e-3 * max(usual, 1))
            at_s = left + (unusual + 0.5) * (right - left) / len(values)
            assert at_s.mean() == pytest.approx(3.0, abs=256 / RATE_HZ / 2)
            assert np.ptp(at_s) <= 512 / RATE_HZ

    @pytest.mark.parametrize(
        ("rate_hz", "htk"), [(2000, "true"), (8000, "false"), (44100, "true"), (44100, "false")]
    )
    def test_frequency_ticks_are_where_their_tones_appear(self, rate_hz, htk):
        settings = (f"features.mel.htk={htk}", "features.n_fft=4096", "features.mel.n_mels=80")
        axes = panels(page_of(noise(rate_hz), *settings, rate_hz=rate_hz))[1]
        low, high = axes.get_ylim()
        height = (high - low) / 80
        mel = {"mel": features_of(*settings, rate_hz=rate_hz)["mel"]}
        ticks = dict(zip(axes.get_yticks(), labels_of(axes.get_yticklabels()), strict=True))
        assert len(ticks) >= 2
        for place, label in ticks.items():
            hz = float(label.replace("k", "")) * (1000 if "k" in label else 1)
            assert low <= place <= high
            values = extract(tone(8192, hz, rate_hz), [0], 8192, mel)["mel"][0]
            brightest = values.mean(axis=1).argmax()
            assert low + (brightest + 0.5) * height == pytest.approx(place, abs=0.75 * height)

    def test_frequency_ticks_are_octaves_and_do_not_overlap(self):
        axes = panels(page_of(noise(22050), "features.n_fft=2048", rate_hz=22050))[1]
        assert labels_of(axes.get_yticklabels()) == ["8k", "4k", "2k", "1k", "500", "250"]
        low, high = axes.get_ylim()
        assert min(-np.diff(axes.get_yticks())) / (high - low) > 0.045

    def test_bands_between_two_octaves_have_ticks(self):
        settings = (f"features.mel.{key}" for key in ("fmin_hz=300", "fmax_hz=480", "n_mels=13"))
        axes = panels(page_of(MUSIC, *settings))[1]
        assert len(axes.get_yticks()) > 1
        assert all(300 < float(label) < 480 for label in labels_of(axes.get_yticklabels()))

    def test_pitch_classes_are_named_from_c(self):
        axes = panels(page_of(tone(RATE_HZ, 440), "features.n_fft=2048"))[3]
        names = labels_of(axes.get_yticklabels())
        assert names == ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
        strongest = np.asarray(axes.images[0].get_array()).mean(axis=1).argmax()
        assert names[axes.get_yticks().tolist().index(strongest)] == "A"

    @pytest.mark.parametrize("n_mfcc", [1, 13, 32])
    def test_coefficients_are_numbered(self, n_mfcc):
        axes = panels(page_of(MUSIC, f"features.mfcc.n_mfcc={n_mfcc}"))[2]
        numbers = [int(label) for label in labels_of(axes.get_yticklabels())]
        assert numbers[0] == 0
        assert len(numbers) <= 8
        assert axes.get_ylim() == (-0.5, n_mfcc - 0.5)

    def test_images_contain_the_features(self):
        features = features_of()
        values = extract(MUSIC, [0], len(MUSIC), features)
        mel, mfcc, chroma = (values[name][0] for name in spectrograms.PAGE)
        images = [np.asarray(axes.images[0].get_array()) for axes in panels(page_of(MUSIC))[1:]]
        np.testing.assert_array_equal(images[0], mel - mel.max())
        standardised = (mfcc - mfcc.mean(axis=1, keepdims=True)) / mfcc.std(axis=1, keepdims=True)
        np.testing.assert_allclose(images[1], standardised, atol=1e-5)
        np.testing.assert_array_equal(images[2], chroma)

    def test_the_mel_spectrogram_equals_librosas(self):
        power = librosa.feature.melspectrogram(
            y=MUSIC, sr=RATE_HZ, n_fft=512, hop_length=256, n_mels=32, pad_mode="constant"
        )
        image = np.asarray(panels(page_of(MUSIC))[1].images[0].get_array())
        np.testing.assert_allclose(image, librosa.power_to_db(power, ref=np.max), atol=1e-3)

    def test_every_coefficient_is_standardised(self):
        image = np.asarray(panels(page_of(MUSIC))[2].images[0].get_array())
        np.testing.assert_allclose(image.std(axis=1), 1, atol=1e-4)
        np.testing.assert_allclose(image.mean(axis=1), 0, atol=1e-4)

    @pytest.mark.parametrize(
        "overrides",
        [
            ("features.include=[zcr]",),
            ("features.mfcc.deltas=2",),
            ("features.mel.framing={n_fft: 1024, hop_length: 512}", "features.chroma.framing={n_fft: 256}"),
            ("features.pad_mode=reflect",),
            ("features.n_fft=511", "features.hop_length=250"),
            ("features.mel.n_mels=1", "features.mfcc.n_mfcc=1"),
            ("features.mel.top_db=null", "features.mel.ref=max"),
            ("features.chroma.tuning=estimate",),
        ],
    )
    def test_any_settings_are_drawn_without_warnings(self, overrides, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for samples in (MUSIC[:300], SILENCE):
                page = page_of(samples, *overrides)
            figures.save(page, tmp_path / "p.png")
        shapes = [axes.images[0].get_array().shape for axes in panels(page)[1:]]
        wanted = [1, 1, 12] if "features.mel.n_mels=1" in overrides else [32, 13, 12]
        assert [n_bins for n_bins, _ in shapes] == wanted

    @pytest.mark.parametrize(
        "samples",
        [MUSIC[:300], MUSIC[:1], SILENCE, np.full(900, 1e-7, np.float32), 3 * MUSIC],
        ids=["shorter than a frame", "one sample", "silence", "nearly silence", "beyond full scale"],
    )
    def test_any_samples_are_drawn_without_warnings(self, samples, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figures.save(page_of(samples), tmp_path / "p.png")
        assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")

    def test_silence_is_dark(self):
        page = page_of(SILENCE)
        mel, mfcc, chroma = (np.asarray(axes.images[0].get_array()) for axes in panels(page)[1:])
        assert (mel == spectrograms.FLOOR_DB).all()
        np.testing.assert_allclose(mfcc, 0, atol=1e-3)
        assert (chroma == 0).all()

    def test_all_pages_have_the_same_layout(self):
        one, other = page_of(MUSIC), page_of(tone(8000, 50), "features.mfcc.n_mfcc=32")
        for axes, beside in zip(one.axes, other.axes, strict=True):
            assert axes.get_position().bounds == beside.get_position().bounds

    def test_colour_bars_are_aligned_with_their_panels(self):
        page = page_of(MUSIC)
        for panel, bar in zip(panels(page)[1:], page.axes[4:], strict=True):
            assert panel.get_position().y0 == bar.get_position().y0
            assert panel.get_position().y1 == bar.get_position().y1

    def test_tick_labels_do_not_overlap(self):
        page = page_of(noise(22050), "features.n_fft=2048", "features.mel.n_mels=128", rate_hz=22050)
        page.draw_without_rendering()
        for axes in page.axes:
            boxes = [
                label.get_window_extent()
                for label in axes.get_yticklabels()
                if label.get_text() and label.get_visible()
            ]
            boxes.sort(key=lambda box: box.y0)
            assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))


class TestOverview:
    """All classes in one picture."""

    @pytest.mark.parametrize("n_classes", [1, 5, 7])
    def test_each_class_has_a_titled_panel(self, n_classes):
        excerpts = {f"class {i:02d}": noise(RATE_HZ, i) for i in range(n_classes)}
        overview = spectrograms.overview(excerpts, features_of()["mel"])
        titles = [axes.get_title() for axes in overview.axes if axes.get_visible() and axes.get_title()]
        assert titles == list(excerpts)
        assert overview.get_supxlabel() == "time in s"
        assert "Hz" in overview.get_supylabel()

    def test_panels_without_one_below_have_time_labels(self):
        overview = spectrograms.overview({str(i): MUSIC for i in range(7)}, features_of()["mel"])
        overview.draw_without_rendering()
        labels = [axes.get_xticklabels() for axes in overview.axes[:7]]
        labelled = [any(label.get_visible() for label in of_panel) for of_panel in labels]
        assert labelled == [False, False, True, True, True, True, True]

    def test_excerpts_may_differ_in_length_or_be_silent(self, tmp_path):
        excerpts = {"a": MUSIC, "b": MUSIC[:100], "c": SILENCE}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            overview = spectrograms.overview(excerpts, features_of()["mel"])
            figures.save(overview, tmp_path / "o.png")
        assert overview.axes[0].get_xlim() == (0, 3)


class TestFileNames:
    """Labels and track_ids as names of files."""

    @pytest.mark.parametrize(
        ("name", "wanted"),
        [
            ("jazz", "jazz.png"),
            ("blues/blues.00000.wav", "blues_blues.00000.wav.png"),
            ("Drum & Bass", "Drum___Bass.png"),
            ("爵士", "爵士.png"),
            ("cafe\u0301", "café.png"),
            ("..", "_...png"),
            (".hidden", "_.hidden.png"),
            ("aux", "_aux.png"),
            ("CON.wav", "_CON.wav.png"),
            ('a\\b:c*d?e"f<g>h|i\nj', "a_b_c_d_e_f_g_h_i_j.png"),
        ],
    )
    def test_names_are_readable_and_legal(self, name, wanted):
        assert pages.file_names([name]) == {name: wanted}

    def test_names_are_unique_on_any_file_system(self):
        names = [
            "AC/DC",
            "AC DC",
            "ac_dc",
            "Jazz",
            "jazz",
            "rock",
            "cafe\u0301",
            "café",
            "x" * 200,
            "x" * 201,
        ]
        found = pages.file_names(names)
        assert list(found) == names
        assert len({name.casefold() for name in found.values()}) == len(names)
        assert found["rock"] == "rock.png"
        assert all(len(name.encode()) < 255 for name in found.values())

    def test_long_names_of_wide_characters_are_shortened(self):
        found = pages.file_names(["𠀋" * 300, "𠀋" * 301])
        assert all(len(name.encode()) < 255 for name in found.values())


class TestStage:
    """`python -m stages.pictures`."""

    @pytest.fixture
    def drawn_from(self, monkeypatch) -> SimpleNamespace:
        """What pages and the overview are drawn from, by label and by title; the pictures are empty."""
        seen = SimpleNamespace(pages={}, excerpts={})

        def page(samples, features, label, track_id):
            seen.pages[label] = (track_id, len(samples) / RATE_HZ)
            return Figure()

        def overview(excerpts, mel):
            seen.excerpts.update(excerpts)
            return Figure()

        monkeypatch.setattr(spectrograms, "page", page)
        monkeypatch.setattr(spectrograms, "overview", overview)
        return seen

    def test_classes_and_chosen_tracks_have_pages(self, workspace, capsys):
        labels = {"a/0.wav": "", "a/1.wav": "rock", "a/2.wav": "rock", "b/0.wav": "Drum & Bass"}
        write_tracks(labels, "pictures.tracks=[a/0.wav,a/2.wav,a/0.wav]")
        pictures.main()
        assert list(drawn()) == [
            "pages/classes/Drum___Bass.png",
            "pages/classes/rock.png",
            "pages/tracks/a_0.wav.png",
            "pages/tracks/a_2.wav.png",
            "spectrograms.png",
        ]
        assert capsys.readouterr().out == "pictures: 2 classes, 2 tracks in data/pictures\n"
        for path in Path("data/pictures").rglob("*.png"):
            with Image.open(path) as image:
                image.verify()
            assert path.stat().st_size < 300_000

    def test_a_page_shows_the_first_track_for_duration_s(self, workspace, drawn_from):
        write_tracks({"a": "rock", "b": "rock", "c": "jazz"}, "pictures.duration_s=1.5")
        pictures.main()
        assert drawn_from.pages == {"jazz": ("c", 1.5), "rock": ("a", 1.5)}

    def test_the_overview_shows_the_middle_of_a_track(self, workspace, drawn_from):
        samples = noise(7 * RATE_HZ)
        write_audio({"a": samples})
        write_params()
        pictures.main()
        np.testing.assert_array_equal(drawn_from.excerpts["jazz"], samples[2 * RATE_HZ : 5 * RATE_HZ])

    def test_the_same_inputs_give_the_same_bytes(self, workspace):
        write_tracks({"a": "rock"}, "pictures.tracks=[a]")
        pictures.main()
        before = drawn()
        pictures.main()
        assert drawn() == before
        assert not [name for name, content in before.items() if b"atplotlib" in content]

    def test_unusual_names_are_drawn_without_warnings(self, workspace, capfd):
        labels = {"..": "$x_{", "a\u2028b": "爵士", "c" * 300: "AC/DC", "d": "AC DC", "e\\frac$": "\u200b"}
        write_tracks(labels)
        edit_params("pictures", tracks=["..", "a\u2028b"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pictures.main()
        assert len(drawn()) == 5 + 2 + 1
        assert "Glyph" not in capfd.readouterr().err

    def test_without_labels_the_overview_shows_the_first_tracks(self, workspace, drawn_from, capsys):
        write_tracks({f"t{number}": "" for number in range(21, 9, -1)}, "pictures.tracks=[t20]")
        pictures.main()
        assert list(drawn()) == ["pages/tracks/t20.png", "spectrograms.png"]
        assert list(drawn_from.excerpts) == [f"t{number}" for number in range(10, 20)]
        assert "no track has a label: spectrograms.png shows the first 10 by name" in capsys.readouterr().out

    @pytest.mark.parametrize("label", ["", "rock"])
    def test_both_outputs_exist_and_other_files_stay(self, workspace, drawn_from, label):
        write_tracks({"a": label})
        folder = Path("data/pictures")
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
        pictures.main()
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["notes.txt", "pages", "spectrograms.png"]
        assert (folder / "pages").is_dir()

    def test_an_unknown_track_is_refused_with_similar_names(self, workspace):
        write_tracks({"blues/00.wav": "blues", "blues/01.wav": "blues", "rock/00.wav": "rock"})
        edit_params("pictures", tracks=["rock/00.wav", "blues/0.wav"])
        line = line_of(pictures.main)
        assert "pictures.tracks.1 is 'blues/0.wav'" in line
        assert "data/audio/tracks.csv" in line
        assert "blues/00.wav" in line
        assert not Path("data/pictures").exists()
        edit_params("pictures", tracks=["zzz"])
        assert "similar" not in line_of(pictures.main)

    def test_a_setting_that_does_not_fit_the_sample_rate_is_refused(self, workspace):
        write_tracks({"a": "rock"}, "features.mel.fmax_hz=5000.0")
        assert "features.mel.fmax_hz is 5000" in line_of(pictures.main)
