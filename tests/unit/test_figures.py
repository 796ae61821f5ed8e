"""Figures show their numbers, and the same numbers give the same bytes."""

import warnings

import numpy as np
import pytest

from stages.core.tables import Epoch
from stages.plots import figures

HISTORY = [Epoch(e, 2.0 / e, 0.1 * e, 1 + abs(e - 3) / 5, 0.1 * e, 1e-3) for e in range(1, 7)]


def test_confusion_shows_the_counts():
    counts = np.array([[3, 1, 0], [0, 5, 0], [0, 0, 0]])
    figure = figures.confusion_matrix(counts, ["a", "b", "c"], "Test tracks, accuracy 0.889")
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
    figure = figures.confusion_matrix(np.eye(4, dtype=int), labels, "Test tracks")
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == labels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save(figure, tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kept", [3, 6])
def test_curves_mark_the_kept_epoch(kept):
    """It need not be the epoch of the lowest loss: the monitor may differ, or the last epoch was kept."""
    figure = figures.curves(HISTORY, kept)
    loss, accuracy = figure.axes
    assert loss.lines[1].get_ydata() == pytest.approx([row.valid_loss for row in HISTORY])
    assert accuracy.lines[0].get_ydata() == pytest.approx([row.train_accuracy for row in HISTORY])
    assert [line.get_label() for line in loss.lines] == ["train", "validation", f"kept: epoch {kept}"]
    assert [axes.lines[2].get_xdata()[0] for axes in figure.axes] == [kept, kept]


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_augmentations_are_drawn_beside_the_original(tmp_path, dtype):
    before = np.random.default_rng(0).integers(0, 9, (2, 4, 6)).astype(dtype)
    after = {"shift": np.roll(before, 1, axis=-1), "noise": before + dtype(1)}
    figure = figures.augmentations(before, after, ["$x", "爵士"])
    axes = np.reshape(figure.axes, (2, 3))
    assert [one.get_title() for one in axes[0]] == ["original", "shift", "noise"]
    assert [one.get_ylabel().splitlines()[0] for one in axes[:, 0]] == ["$x", "爵士"]
    for column, wanted in zip(axes.T, (before, *after.values()), strict=True):
        for one, segment in zip(column, wanted, strict=True):
            assert np.array_equal(one.images[0].get_array(), segment)
            assert one.images[0].get_clim() == axes[0, 0].images[0].get_clim(), "not comparable"
    figures.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_curves_of_one_epoch_are_drawn(tmp_path):
    figures.save(figures.curves(HISTORY[:1], 1), tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_figure_gives_same_bytes_without_software_names(tmp_path):
    for name in ("a.png", "b.png"):
        figures.save(figures.curves(HISTORY, 3), tmp_path / name)
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert b"atplotlib" not in content
