"""Figures show what they say, and are the same bytes for the same numbers."""

import numpy as np
import pytest

from stages import figures, store
from stages.store import Features
from stages.tables import Epoch

HISTORY = [Epoch(e, 2.0 / e, 0.1 * e, 1 + abs(e - 3) / 5, 0.1 * e) for e in range(1, 7)]


def features_file(path, classes: list[str], name: str = "mel", rate_hz: int = 22050):
    rows = [(f"{label}-{t}", s, label) for label in [*classes, ""] for t in range(2) for s in range(3)]
    scale = ("mel_frequency_hz", np.linspace(30, rate_hz / 2.1, 12))
    scales = {name: scale if name == "mel" else ("mfcc_coefficient", np.arange(12.0))}
    with store.create_features(path, {name: (12, 9)}, scales, np.arange(9) / 43, rows, {}) as file:
        file[name][:] = np.random.default_rng(0).normal(-30, 10, (len(rows), 12, 9))
    return Features(path)


@pytest.mark.parametrize("n_classes", [1, 2, 5, 7, 10, 11])
@pytest.mark.parametrize("name", ["mel", "mfcc"])
def test_spectrograms_have_a_titled_panel_for_each_class(tmp_path, n_classes, name):
    classes = [f"class {i:02d}" for i in range(n_classes)]
    with features_file(tmp_path / "features.h5", classes, name) as features:
        figure = figures.spectrograms(features)
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible() and axes.get_title()]
    assert titles == classes


def test_spectrograms_of_low_sample_rates_are_drawn(tmp_path):
    with features_file(tmp_path / "features.h5", ["a", "b"], rate_hz=2000) as features:
        figures.save(figures.spectrograms(features), tmp_path / "s.png")
    assert (tmp_path / "s.png").stat().st_size > 5000


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


def test_curves_mark_the_kept_epoch():
    figure = figures.curves(HISTORY)
    loss, accuracy = figure.axes
    assert loss.lines[1].get_ydata() == pytest.approx([row.valid_loss for row in HISTORY])
    assert accuracy.lines[0].get_ydata() == pytest.approx([row.train_accuracy for row in HISTORY])
    assert [line.get_label() for line in loss.lines] == ["train", "validation", "kept: epoch 3"]


def test_curves_of_one_epoch_are_drawn(tmp_path):
    figures.save(figures.curves(HISTORY[:1]), tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_figure_is_the_same_bytes_and_names_no_software(tmp_path):
    for name in ("a.png", "b.png"):
        figures.save(figures.curves(HISTORY), tmp_path / name)
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert b"atplotlib" not in content
