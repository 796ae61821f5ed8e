"""Times the same work done two ways, in turn, so that a drifting machine hits both alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def compare(
    title: str, ways: Mapping[str, Callable[[], object]], n_rounds: int, music_s: float | None = None
) -> None:
    """Print each way's median and range in seconds, and how many times longer than the first it takes.

    Parameters
    ----------
    title : str
    ways : mapping of str to callable
        The first is ours. Each runs once unmeasured.
    n_rounds : int
        Rounds in which all run once, in turn. A ratio is the median of those of each round.
    music_s : float or None
        How long the music lasts that all work on: each way's speed is then said as times real time.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(n_rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    print(f"\n{title} ({n_rounds} rounds in turn)")
    ours = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratios = [other / mine for mine, other in zip(ours, times, strict=True)]
        spread = f"({min(times):.3f} to {max(times):.3f})"
        factor = f"{median(ratios):6.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
        speed = f"{music_s / median(times):8,.0f} x real time" if music_s else ""
        print(f"  {name:<38}{median(times):8.3f} s {spread:<20}{factor:<31}{speed}", flush=True)
