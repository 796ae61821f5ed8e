"""How a track is cut into segments."""

import numpy as np


def cut(
    n_samples: int, n_windows: int, length: int, tail: float, max_per_track: int | None
) -> list[tuple[int, int]]:
    """Return the segments of a track.

    Parameters
    ----------
    n_samples, length : int
        Length of the track and of a segment, in samples.
    n_windows : int
        Number of equal windows that the track consists of; no segment spans two of them. With several
        windows there is no padding.
    tail : float
        Share of the last segment that may lie beyond the track's end.
    max_per_track : int or None
        Maximum number of segments, spread evenly over the track; None: all.

    Returns
    -------
    list of (start, stop)
        Segments side by side in samples; the last stop may pass `n_samples`.
    """
    window = n_samples // n_windows
    whole, rest = divmod(window, length)
    per_window = whole + (n_windows == 1 and rest > 0 and length - rest <= tail * length)
    starts = [i * window + j * length for i in range(n_windows) for j in range(per_window)]
    if max_per_track is not None and max_per_track < len(starts):
        chosen = np.linspace(0, len(starts) - 1, max_per_track).round().astype(int).tolist()
        starts = [starts[i] for i in chosen]
    return [(start, start + length) for start in starts]
