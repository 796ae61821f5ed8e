"""Figures show their numbers, and the same numbers give the same bytes."""

import warnings

import numpy as np
import pytest
from PIL import Image

from stages.core.tables import Epoch
from stages.evaluation.preview import Preview
from stages.plots import figures
from stages.plots.segments import before_and_after
from stages.plots.style import class_colours
from stages.storage.feature_file import Axis

HISTORY = [Epoch(e, 2.0 / e, 0.1 * e, 1 + abs(e - 3) / 5, 0.1 * e, 1e-3) for e in range(1, 7)]


def test_confusion_shows_the_counts():
    counts = np.array([[3, 1, 0], [0, 5, 0], [0, 0, 0]])
    figure = figures.confusions(counts, ["a", "b", "c"], "Test tracks, accuracy 0.889")
    axes = figure.axes[0]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "3"),
        ((1, 0), "1"),
        ((1, 1), "5"),
    }
    assert axes.get_title() == "Test tracks, accuracy 0.889"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]])


def test_labels_of_any_characters_are_drawn_literally(tmp_path):
    labels = ["$x", r"$\frac$", "爵士", "a_b"]
    figure = figures.confusions(np.eye(4, dtype=int), labels, "Test tracks")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == labels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save(figure, tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def confused(n_classes: int) -> np.ndarray:
    """Ten tracks of each class: the first is never right, each other one a bit better than the one before."""
    counts = np.diag(np.minimum(np.arange(n_classes), 10))
    counts[np.arange(n_classes), np.arange(n_classes) - 1] += 10 - counts.diagonal()
    return counts


def test_of_many_classes_the_largest_confusions_are_shown():
    labels = [f"{number:03d}" for number in range(100)]
    figure = figures.confusions(confused(100), labels, "Test tracks, accuracy 0.945")
    upper, lower = figure.axes
    assert figure.get_suptitle() == "Test tracks, accuracy 0.945"
    assert upper.get_title() == "The 10 largest of 10 confusions"
    assert lower.get_title() == "The 20 of 100 classes with the lowest recall"
    assert [bar.get_width() for bar in upper.patches] == list(range(10, 0, -1))
    assert [bar.get_width() for bar in lower.patches][:3] == pytest.approx([0, 0.1, 0.2])
    names, notes = ([label.get_text() for label in axes.get_yticklabels()] for axes in with_notes(upper))
    assert (names[1], notes[:2]) == ("001", ["as 099: 10 of 10", "as 000: 9 of 10"])
    assert with_notes(lower)[1].get_yticklabels()[2].get_text() == "2 of 10"


def with_notes(axes) -> list:
    """Bars with names at the left, and the axis at their right."""
    return [axes, *axes.child_axes]


def test_many_classes_without_confusions_are_drawn():
    upper, lower = figures.confusions(np.eye(30, dtype=int), ["x"] * 30, "Test tracks").axes
    assert upper.get_title() == "No confusions"
    assert len(lower.patches) == 20


@pytest.mark.parametrize("n_classes", [2, 20, 100])
def test_any_number_of_long_names_stays_inside_the_picture(tmp_path, n_classes):
    labels = [f"Electronic / Contemporary Downtempo {number:04d}" for number in range(n_classes)]
    figure = figures.confusions(confused(n_classes), labels, "Validation tracks, accuracy 0.945")
    figures.save(figure, tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        assert max(image.size) < 2000
        pixels = np.asarray(image.convert("L"))
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    assert all((edge == 255).all() for edge in edges), "something is cut off"


@pytest.mark.parametrize("kept", [3, 6])
def test_curves_mark_the_kept_epoch(kept):
    """It need not be the epoch of the lowest loss: the monitor may differ, or the last epoch was kept."""
    figure = figures.curves(HISTORY, kept)
    loss, accuracy = figure.axes
    assert loss.lines[1].get_ydata() == pytest.approx([row.valid_loss for row in HISTORY])
    assert accuracy.lines[0].get_ydata() == pytest.approx([row.train_accuracy for row in HISTORY])
    assert [line.get_label() for line in loss.lines] == ["train", "validation", f"kept: epoch {kept}"]
    assert [axes.lines[2].get_xdata()[0] for axes in figure.axes] == [kept, kept]
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert len({line.get_linestyle() for line in loss.lines}) == 3, "told apart without colours, too"


def test_novelty_is_counted_on_both_sides_of_the_threshold():
    by_split = {"test": np.linspace(0, 0.5, 40), "unlabelled": np.array([0.1, 0.45, 0.9])}
    figure = figures.novelties(by_split, 0.4)
    for axes, novelty in zip(figure.axes, by_split.values(), strict=True):
        known, new = (sum(bar.get_height() for bar in bars) for bars in axes.containers)
        assert (known, new) == ((novelty <= 0.4).sum(), (novelty > 0.4).sum())
        assert axes.lines[0].get_xdata()[0] == 0.4
    assert [axes.get_title("left") for axes in figure.axes] == [
        "test tracks: 40; above the threshold: 8 (20.0 %)",
        "unlabelled tracks: 3; above the threshold: 2 (66.7 %)",
    ]


def test_equal_novelties_are_drawn(tmp_path):
    figures.save(figures.novelties({"test": np.full(5, 0.3)}, 0.3), tmp_path / "n.png")
    assert (tmp_path / "n.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("n", [1, 10, 23, 100])
def test_classes_have_different_colours(n):
    colours = class_colours(n)
    assert len(set(colours)) == n
    assert colours[:10] == class_colours(10)[:n]


def preview(before: np.ndarray, bins: Axis, time_s: list[float]) -> Preview:
    """Two segments, and the same halved and zero."""
    after = {"half": before // 2, "zero": np.zeros_like(before)}
    return Preview("Segments", before, after, ["$x", "爵士"], bins, np.array(time_s), "dB")


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_segments_are_drawn_above_what_becomes_of_them(tmp_path, dtype):
    before = np.random.default_rng(0).integers(0, 9, (2, 4, 3)).astype(dtype)
    shown = preview(before, Axis("mfcc_coefficient", np.arange(4.0)), [0.0, 0.1, 0.2])
    figure = before_and_after(shown)
    *panels, bar = figure.axes
    axes = np.reshape(panels, (3, 2))
    assert [one.get_title() for one in axes[0]] == ["$x", "爵士"]
    assert [one.get_ylabel() for one in axes[:, 0]] == ["original", "half", "zero"]
    for row, wanted in zip(axes, (before, *shown.after.values()), strict=True):
        for one, segment in zip(row, wanted, strict=True):
            image = one.images[0]
            assert np.array_equal(image.get_array(), segment)
            assert image.get_clim() == axes[0, 0].images[0].get_clim(), "not comparable"
            assert image.get_interpolation() == "nearest"
            assert image.get_extent() == pytest.approx((-0.05, 0.25, -0.5, 3.5))
    said = figure.get_suptitle(), figure.get_supxlabel(), figure.get_supylabel(), bar.get_ylabel()
    assert said == ("Segments", "time in s", "mfcc coefficient", "dB")
    figures.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_bands_are_labelled_in_hz():
    bins = Axis("mel_frequency_hz", np.array([100.0, 250.0, 700.0, 1000.0]))
    figure = before_and_after(preview(np.ones((2, 4, 2), np.float32), bins, [0.0, 0.5]))
    assert figure.get_supylabel() == "mel frequency in Hz"
    axes = figure.axes[0]
    ticks = dict(zip([label.get_text() for label in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert ticks == pytest.approx({"125": 1 / 6, "250": 1, "500": 1 + 250 / 450, "1k": 3})


def test_one_frame_is_a_line_over_its_values():
    before = np.arange(10, dtype=np.float32).reshape(2, 5, 1)
    figure = before_and_after(preview(before, Axis("statistic", np.arange(5)), [0.0]))
    axes = np.reshape(figure.axes, (3, 2))
    original, changed = axes[1, 1].lines
    assert original.get_ydata().ravel().tolist() == [5, 6, 7, 8, 9]
    assert changed.get_ydata().ravel().tolist() == [2, 3, 3, 4, 4]
    assert original.get_linestyle() != changed.get_linestyle()
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("statistic", "dB")


def test_curves_of_one_epoch_are_drawn(tmp_path):
    figures.save(figures.curves(HISTORY[:1], 1), tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_figure_gives_same_bytes_without_software_names(tmp_path):
    for name in ("a.png", "b.png"):
        figures.save(figures.curves(HISTORY, 3), tmp_path / name)
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert b"atplotlib" not in content
