"""The README's pictures of a project's outputs: `python -m tests.campaigns.pictures FOLDER`.

sample.png: what goes in, the mel spectrogram of a test track of each class; what comes out, the confusion
matrix of the test tracks; and accuracy with its interval beside the linear baseline. over_time.png: what
`encore predict --over-time` draws of a track. Both go to tests/screenshots/.
"""

import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray
from PIL import Image

from stages.plots.style import INK, class_colours
from tests.synthetic import REPO

PICTURES = REPO / "tests/screenshots"
UNSURE = "raw/music/jazz/jazz.00004.wav"  # of test: right, but by less than half
MODEL, BASELINE = class_colours(2)
SEGMENT = 3  # of each track: the first ones may be an introduction
FLOOR_DB = -60.0


def spectrograms(data: Path) -> dict[str, NDArray[np.float32]]:
    """Return mel in dB of one segment of the first test track of each class."""
    with (data / "evaluation/predictions.csv").open(encoding="utf-8", newline="") as file:
        first = {row["label"]: row["track_id"] for row in reversed(list(csv.DictReader(file)))}
    with h5py.File(data / "features/features.h5") as file:
        track_ids, numbers = file["track_id"][:].astype(str), file["segment"][:]
        rows = {
            label: int(np.flatnonzero((track_ids == track_id) & (numbers == SEGMENT))[0])
            for label, track_id in sorted(first.items())
        }
        return {label: file["mel"][row] for label, row in rows.items()}


def draw_confusion(axes: Axes, rows: list[dict[str, str]], labels: list[str]) -> tuple[int, int]:
    """Draw the test tracks' confusion matrix; return how many are right, and how many there are."""
    place = {label: index for index, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for row in rows:
        counts[place[row["label"]], place[row["predicted"]]] += 1
    axes.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1)
    for true, predicted in np.argwhere(counts):
        shade = "white" if counts[true, predicted] > counts[true].sum() / 2 else INK
        axes.text(predicted, true, counts[true, predicted], ha="center", va="center", color=shade, size=9)
    axes.set_xticks(range(len(labels)), labels, rotation=55, ha="right", rotation_mode="anchor", size=9)
    axes.set_yticks(range(len(labels)), labels, size=9)
    axes.tick_params(length=0)
    axes.set_xlabel("what the network says", size=10, labelpad=2)
    axes.set_ylabel("what it is", size=10, labelpad=2)
    return int(np.trace(counts)), int(counts.sum())


def draw_scores(axes: Axes, metrics: dict[str, dict[str, dict[str, float]]]) -> None:
    """Draw accuracy on test tracks with its 95 % interval: network's, baseline's, of one answer."""
    rows = {
        "linear\nbaseline": (metrics["baseline"]["track"], BASELINE, "s"),
        "network": (metrics["test"]["track"], MODEL, "o"),
    }
    for height, (scores, colour, marker) in enumerate(rows.values()):
        low, high = scores["accuracy_ci95_low"], scores["accuracy_ci95_high"]
        axes.plot([low, high], [height, height], color=colour, linewidth=3, solid_capstyle="round")
        accuracy = scores["accuracy"]
        axes.plot(accuracy, height, marker, color=colour, markersize=9)
        axes.text(accuracy, height + 0.17, f"{accuracy:.2f}", ha="center", size=10, color=INK)
    axes.axvline(metrics["largest_class"]["accuracy"], color=INK, linewidth=0.9, linestyle=":")
    axes.text(metrics["largest_class"]["accuracy"] + 0.02, -0.62, "always one genre", size=8.5, color=INK)
    axes.set_yticks(range(len(rows)), list(rows), size=9.5)
    axes.set(xlim=(0, 1), ylim=(-0.75, len(rows) - 0.45), xticks=(0, 0.5, 1))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("accuracy, 95 % interval", size=10)
    axes.spines[["top", "right", "left"]].set_visible(False)


def mosaic(data: Path) -> Figure:
    """Draw the picture of the outputs in `data`."""
    with (data / "evaluation/predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    metrics = json.loads((data / "evaluation/metrics.json").read_text("utf-8"))
    music = spectrograms(data)

    figure = Figure(figsize=(11, 4.1), facecolor="white")
    parts = figure.add_gridspec(
        1, 3, left=0.03, right=0.985, top=0.86, bottom=0.2, wspace=0.42, width_ratios=(4.1, 3, 2.2)
    )
    panels = parts[0].subgridspec(2, 5, wspace=0.06, hspace=0.24).subplots().ravel()
    for axes, (label, mel) in zip(panels, music.items(), strict=True):
        level = mel - mel.max()
        axes.imshow(level, origin="lower", aspect="auto", cmap="magma", vmin=FLOOR_DB, vmax=0)
        axes.set_title(label, size=10, color=INK, pad=3)
        axes.set(xticks=(), yticks=())
    panels[5].set_xlabel("time: 3 s →", size=9, loc="left", labelpad=3)
    panels[5].set_ylabel("frequency (mel) →", size=9, loc="bottom", labelpad=2)
    right, total = draw_confusion(confusion := figure.add_subplot(parts[1]), rows, list(music))
    draw_scores(scores := figure.add_subplot(parts[2]), metrics)
    for axes, text in (
        (panels[0], "Music goes in: ten genres, heard in pieces of 3 s"),
        (confusion, f"Genres come out: {right} of {total} right"),
        (scores, "How sure is that?"),
    ):
        figure.text(axes.get_position().x0, 0.955, text, size=12, weight="bold", color=INK, va="center")
    for left in (panels[4], confusion):
        edge = left.get_position().x1
        arrow = FancyArrowPatch(
            (edge + 0.008, 0.53), (edge + 0.032, 0.53), arrowstyle="-|>", mutation_scale=16
        )
        arrow.set(color=INK, transform=figure.transFigure)
        figure.add_artist(arrow)
    return figure


def over_time(data: Path) -> bytes:
    """Return the picture that `encore predict --over-time` draws of a track."""
    with tempfile.TemporaryDirectory() as folder:
        track = shutil.copy(data / UNSURE, folder)
        encore = [sys.executable, REPO / "stages/entry/launcher.py"]
        asked = ["predict", Path(track).name, "--over-time", "--model", data / "model"]
        subprocess.run([*encore, *asked], cwd=folder, check=True)
        (picture,) = Path(folder).glob("*.png")
        return picture.read_bytes()


def save(content: bytes, name: str) -> None:
    """Write a picture in so few colours that it is small."""
    with Image.open(io.BytesIO(content)) as picture:
        # one step of k-means: the palette has the colour of the background itself, and none beside it
        few = picture.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
        few.save(PICTURES / name, optimize=True)
    print(f"{PICTURES / name}: {(PICTURES / name).stat().st_size / 1000:.0f} kB")


def main() -> None:
    data = Path(sys.argv[1], "data").resolve()
    content = io.BytesIO()
    mosaic(data).savefig(content, dpi=110, metadata={"Software": None})
    save(content.getvalue(), "sample.png")
    save(over_time(data), "over_time.png")


if __name__ == "__main__":
    main()
