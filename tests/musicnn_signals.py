"""Signals at 16 kHz to compare with musicnn's own code, of whole int16 steps; numpy alone makes them."""

import numpy as np

RATE_HZ = 16_000


def signals() -> dict[str, np.ndarray]:
    """Float32 signals of two patches each, full scale 1."""
    random = np.random.default_rng(0)
    time_s = np.arange(2 * 187 * 256) / RATE_HZ
    beat = np.exp(-8 * (time_s % 0.5))
    chord = sum(
        np.sin(2 * np.pi * hz * order * time_s) / order
        for hz in (220.0, 277.2, 329.6)
        for order in range(1, 9)
    )
    sweep = np.sin(2 * np.pi * (50 * time_s + 650 * time_s**2))
    noise = random.standard_normal(len(time_s))
    made = {
        "chord": 0.15 * chord * (0.3 + 0.7 * beat),
        "drums": 0.25 * noise * beat**2,
        "sweep": 0.8 * sweep,
        "noise": 0.1 * noise,
        "mixture": 0.08 * chord + 0.1 * noise * beat + 0.1 * sweep,
        "quiet": 0.0005 * chord,
    }
    return {
        name: (np.clip(x, -1, 1) * 32767).round().astype(np.int16) / np.float32(32768)
        for name, x in made.items()
    }
