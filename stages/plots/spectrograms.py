"""Music as pictures: the page of a track, and classes side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.plots.panels import draw, label_hz
from stages.plots.style import INK, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from stages.features.catalogue import Mel
    from stages.features.feature import FramedFeature

PAGE = ("mel", "mfcc", "chroma")  # the features of a page
FLOOR_DB = -80.0  # relative to a picture's maximum; lower values have the same shade
MAX_DEVIATION = 3.0  # of a coefficient, in standard deviations; greater ones have the same shade
WAVE_COLUMNS = 1000
PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def page(samples: NDArray[np.float32], features: Mapping[str, Any], label: str, track_id: str) -> "Figure":
    """Draw waveform, mel spectrogram, MFCC and chroma of an excerpt over one time axis.

    Parameters
    ----------
    samples : ndarray of float32 (n_samples,)
        Full scale 1. Treated as one segment; silence is appended if it is shorter than a frame.
    features : mapping of str to Feature
        Those in `PAGE`.
    label, track_id : str
        Of the excerpt; an empty label means that the track has none.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 7.8))
    # the same places on every page, so that pages compare side by side
    places = figure.add_gridspec(
        4, 2, left=0.07, right=0.93, top=0.925, bottom=0.055, wspace=0.025, hspace=0.2,
        width_ratios=(1, 0.018), height_ratios=(0.6, 3, 1.6, 1.75),
    )  # fmt: skip
    wave, *panels = (figure.add_subplot(places[row, 0]) for row in range(4))
    heading = short(label, 60) or "unlabelled"
    figure.text(0.07, 0.97, heading, size=13, weight="bold", color=INK, parse_math=False)
    figure.text(0.07, 0.947, short(track_id, 100), size=8.5, color=INK, parse_math=False)

    values = _values(samples, features)
    sample_rate_hz = features["mel"].sample_rate_hz
    draw_wave(wave, samples, sample_rate_hz)
    drawn = (
        draw_mel(panels[0], values["mel"], features["mel"], apart=0.045),
        _draw_mfcc(panels[1], values["mfcc"], features["mfcc"]),
        _draw_chroma(panels[2], values["chroma"], features["chroma"]),
    )
    names = (
        ("Mel spectrogram", "frequency in Hz (mel scale)", "dB, the page's maximum at 0"),
        ("MFCC", "coefficient", "standard deviations\nfrom the coefficient's mean"),
        ("Chroma", "pitch class", "energy,\nthe frame's strongest at 1"),
    )
    for row, (axes, image, (name, scale, unit)) in enumerate(zip(panels, drawn, names, strict=True), 1):
        axes.set_title(name, loc="left", size=9, weight="bold", color=INK, pad=3)
        axes.set_ylabel(scale, size=8)
        bar = figure.colorbar(image, cax=figure.add_subplot(places[row, 1]))
        bar.set_label(unit, size=8)
        bar.ax.tick_params(labelsize=8)
    wave.set_ylabel("amplitude", size=8)
    panels[-1].set_xlabel("time in s", size=8)
    for axes in (wave, *panels):
        axes.set_xlim(0, len(samples) / sample_rate_hz)
        axes.tick_params(labelsize=8, labelbottom=axes is panels[-1])
        axes.yaxis.set_label_coords(-0.042, 0.5)
    return figure


def overview(excerpts: Mapping[str, NDArray[np.float32]], mel: "Mel", columns: int = 5) -> "Figure":
    """Draw mel spectrograms of one excerpt of each class side by side.

    Parameters
    ----------
    excerpts : mapping of str to ndarray of float32 (n_samples,)
        By title, full scale 1.
    mel : Mel
    columns : int
        Panels side by side.
    """
    from matplotlib.figure import Figure

    columns = min(columns, len(excerpts))
    rows = -(-len(excerpts) // columns)
    figure = Figure(figsize=(2.2 * columns + 1.2, 2.1 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in grid[len(excerpts) :]:
        axes.set_visible(False)
    panels = list(grid[: len(excerpts)])
    for index, (axes, (label, samples)) in enumerate(zip(panels, excerpts.items(), strict=True)):
        image = draw_mel(axes, _values(samples, {"mel": mel})["mel"], mel, apart=0.07)
        axes.set_title(short(label, 24), size=10, parse_math=False)
        axes.tick_params(labelsize=8, labelbottom=index + columns >= len(excerpts))
    panels[0].set_xlim(0, max(map(len, excerpts.values())) / mel.sample_rate_hz)
    figure.supxlabel("time in s", size=9)
    figure.supylabel("frequency in Hz (mel scale)", size=9)
    bar = figure.colorbar(image, ax=panels, fraction=0.1 / columns, pad=0.05 / columns, aspect=20 * rows)
    bar.set_label("dB, the panel's maximum at 0", size=9)
    bar.ax.tick_params(labelsize=8)
    return figure


def _values(samples: NDArray[np.float32], features: Mapping[str, "FramedFeature"]) -> dict[str, NDArray[Any]]:
    """Compute each feature of an excerpt as one segment, (n_bins, n_frames)."""
    from stages.features.catalogue import extract

    length = max(len(samples), *(feature.framing.n_fft for feature in features.values()))
    return {name: values[0] for name, values in extract(samples, [0], length, features).items()}


def draw_wave(axes: "Axes", samples: NDArray[np.float32], sample_rate_hz: int) -> None:
    """Draw a waveform, full scale 1, as the range of its samples over time in seconds.

    Parameters
    ----------
    axes : Axes
    samples : ndarray of float32 (n_samples,)
    sample_rate_hz : int
    """
    starts = np.linspace(0, len(samples), WAVE_COLUMNS, endpoint=False).astype(int)
    lowest, highest = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
    axes.fill_between(starts / sample_rate_hz, lowest, highest, color="#5c7a89", linewidth=0.5)
    axes.set(ylim=(-1, 1), yticks=(-1, 0, 1))


def draw_mel(axes: "Axes", values: NDArray[np.float32], mel: "Mel", apart: float) -> "AxesImage":
    """Draw a mel spectrogram over seconds, on an axis in mel that is labelled in Hz.

    Parameters
    ----------
    axes : Axes
    values : ndarray of float32 (n_mels, n_frames)
        In dB.
    mel : Mel
    apart : float
        Least distance of ticks as a share of the axis.

    Returns
    -------
    AxesImage
        In dB below the picture's maximum.
    """
    # all values are equal in silence, which has no maximum to measure from
    level = values - values.max() if np.ptp(values) else np.full_like(values, FLOOR_DB)
    image = draw(axes, level, 0, _hop_s(mel), "magma", 32, (FLOOR_DB, 0))
    label_hz(axes, mel.bins()[1], apart)
    return image


def _draw_mfcc(axes: "Axes", values: NDArray[np.float32], mfcc: "FramedFeature") -> "AxesImage":
    std = values.std(axis=1, keepdims=True)
    std[std < 1e-3] = 1  # rounding errors of a constant coefficient
    # each coefficient is standardised, else the lowest would leave the others in one shade
    standardised = (values - values.mean(axis=1, keepdims=True)) / std
    limits = (-MAX_DEVIATION, MAX_DEVIATION)
    image = draw(axes, standardised, 0, _hop_s(mfcc), "RdBu_r", 15, limits)
    axes.set_yticks(range(0, len(values), -(-len(values) // 8)))
    return image


def _draw_chroma(axes: "Axes", values: NDArray[np.float32], chroma: "FramedFeature") -> "AxesImage":
    image = draw(axes, values, 0, _hop_s(chroma), "viridis", 10, (0, 1))
    axes.set_yticks(range(len(values)), PITCH_CLASSES)
    return image


def _hop_s(feature: "FramedFeature") -> float:
    return feature.framing.hop_length / feature.sample_rate_hz
