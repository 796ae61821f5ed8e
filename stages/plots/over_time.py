"""The figure of a file over time: waveform, mel spectrogram, and the probability of each genre."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.plots.panels import draw, label_hz
from stages.plots.style import BLUE, INK, class_colours, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from stages.inference.prediction import OverTime

MOST = 9  # classes with a colour of their own; the others are summed up
FLOOR_DB = -80.0  # below the maximum
HATCHES = ("", "////", "....")  # of each three classes, which differ without colours, too


def over_time(found: "OverTime", labels: Sequence[str], name: str) -> "Figure":
    """Draw a file over its seconds.

    Parameters
    ----------
    found : OverTime
    labels : sequence of str
        Of its classes.
    name : str
        Of the file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    (wave, _), (mel, bar), (genres, _) = rows = figure.subplots(
        3, 2, sharex="col", height_ratios=(0.6, 2, 2), width_ratios=(1, 0.015)
    )
    for _, beside in (rows[0], rows[2]):
        beside.set_axis_off()
    n_seconds = len(found.probability)
    time_s = np.arange(len(found.low)) * found.column_s
    wave.fill_between(time_s, found.low, found.high, color=BLUE, linewidth=0.5)
    wave.set(ylim=(-1, 1), yticks=(-1, 0, 1), ylabel="amplitude")

    level = found.mel - found.mel.max()
    image = draw(mel, level, found.column_s / 2, found.column_s, "magma", 32, (FLOOR_DB, 0))
    label_hz(mel, found.mel_hz, apart=0.09)
    mel.set_ylabel("frequency in Hz (mel scale)")
    figure.colorbar(image, cax=bar, label="dB, maximum at 0")

    shares, names = _largest(found, labels)
    edges = np.repeat(np.arange(n_seconds + 1), 2)[1:-1]  # each second has one value
    stacked = genres.stackplot(
        edges, np.repeat(shares, 2, axis=1), colors=[*class_colours(len(names))], labels=names, linewidth=0
    )
    for place, area in enumerate(stacked):
        area.set(hatch=HATCHES[place % len(HATCHES)], edgecolor="white")
    genres.set(ylim=(0, 1), xlim=(0, n_seconds), ylabel="probability", xlabel="time in s")
    legend = figure.legend(
        *genres.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    figure.suptitle(f"Genre over time: {short(name, 80)}", color=INK, parse_math=False)
    return figure


def _largest(found: "OverTime", labels: Sequence[str]) -> tuple[NDArray[np.float64], list[str]]:
    """Return the probabilities of the classes that have most of the time, (n, n_seconds), and their names."""
    shares = found.probability.T
    order = np.argsort(-shares.sum(axis=1), kind="stable")
    if len(order) <= MOST + 1:
        return shares[order], [short(labels[place], 24) for place in order]
    first, rest = order[:MOST], order[MOST:]
    names = [*(short(labels[place], 24) for place in first), f"{len(rest)} others"]
    return np.concatenate([shares[first], shares[rest].sum(axis=0, keepdims=True)]), names
