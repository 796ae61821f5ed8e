"""Arrays of bins and frames as panels of a figure: over seconds, and over Hz where the bins are bands."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

OCTAVES_HZ = 125.0 * 2 ** np.arange(10)


def draw(
    axes: "Axes",
    values: NDArray[Any],
    start_s: float,
    hop_s: float,
    colours: str,
    n_shades: int,
    limits: tuple[float, float],
) -> "AxesImage":
    """Draw an array over seconds and the number of the bin.

    Few shades and sharp edges make a file a third as large.

    Parameters
    ----------
    axes : Axes
    values : ndarray (n_bins, n_frames)
    start_s, hop_s : float
        Where the first frame is centred, and how far each is from the next.
    colours : str
        A colour map of matplotlib.
    n_shades : int
    limits : (float, float)
        Values that get the first and the last shade.
    """
    from matplotlib import colormaps

    n_bins, n_frames = values.shape
    return axes.imshow(
        values,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(start_s - hop_s / 2, start_s + (n_frames - 0.5) * hop_s, -0.5, n_bins - 0.5),
        cmap=colormaps[colours].resampled(n_shades),
        vmin=limits[0],
        vmax=limits[1],
    )


def label_hz(axes: "Axes", bins_hz: NDArray[np.float64], apart: float) -> None:
    """Label the bins of `draw` in Hz: at octaves, or at round numbers where there are not two of these.

    Parameters
    ----------
    axes : Axes
    bins_hz : ndarray of float64 (n_bins,)
        Ascending.
    apart : float
        Least distance of ticks as a share of the axis.
    """
    from matplotlib.ticker import MaxNLocator

    for marks_hz in (OCTAVES_HZ, MaxNLocator(4).tick_values(bins_hz[0], bins_hz[-1]), bins_hz):
        inside_hz = [hz for hz in marks_hz if bins_hz[0] <= hz <= bins_hz[-1]]
        if len(inside_hz) > 1:
            break
    ticks: dict[float, str] = {}
    for hz in reversed(inside_hz):
        place = float(np.interp(hz, bins_hz, np.arange(len(bins_hz))))
        if not ticks or min(ticks) - place >= apart * len(bins_hz):
            ticks[place] = f"{hz / 1000:.4g}k" if hz >= 1000 else f"{hz:.4g}"
    axes.set_yticks(list(ticks), list(ticks.values()))
