"""Check that copies are found and unrelated tracks are not.

``python -m tests.campaigns.near_duplicates FOLDER``

Makes changed copies of every audio file below FOLDER, which should contain no recording twice, and looks
for them among the originals. Exits with 1 if a required change is missed, or unrelated tracks are a pair.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from stages.audio.duplicates import near_duplicates
from stages.audio.fingerprint import fingerprint

Samples = NDArray[np.float32]
MP3_KBIT_S = 64


def write_wav(path: Path, samples: Samples, rate_hz: int) -> Path:
    soundfile.write(path.with_suffix(".wav"), samples, rate_hz)
    return path.with_suffix(".wav")


def write_mp3(path: Path, samples: Samples, rate_hz: int) -> Path:
    highest, lowest = (320, 32) if rate_hz >= 32000 else (160, 8)  # libsndfile's range at level 0 to 1
    level = (highest - MP3_KBIT_S) / (highest - lowest)
    target = path.with_suffix(".mp3")
    soundfile.write(target, samples, rate_hz, format="MP3", bitrate_mode="CONSTANT", compression_level=level)
    kbit_s = target.stat().st_size * 8e-3 * rate_hz / len(samples)
    assert abs(kbit_s / MP3_KBIT_S - 1) < 0.05, f"{kbit_s:.1f} kbit/s"
    return target


def later(samples: Samples, rate_hz: int, seconds: float) -> Samples:
    return samples[round(seconds * rate_hz) :]


def at_44100(samples: Samples, rate_hz: int) -> Samples:
    return soxr.resample(samples, rate_hz, 44100)


REQUIRED: dict[str, Callable[[Path, Samples, int], Path]] = {
    "MP3 64 kbit/s": write_mp3,
    "1 s later": lambda path, x, rate: write_wav(path, later(x, rate, 1), rate),
    "-6 dB": lambda path, x, rate: write_wav(path, x / 2, rate),
    "first 20 s": lambda path, x, rate: write_wav(path, x[: 20 * rate], rate),
}
FURTHER: dict[str, Callable[[Path, Samples, int], Path]] = {
    "2 s later": lambda path, x, rate: write_wav(path, later(x, rate, 2), rate),
    "at 44.1 kHz": lambda path, x, rate: write_wav(path, at_44100(x, rate), 44100),
    # half a step off the frame grid, which is the hardest
    "first 20 s, 1.01 s later, -6 dB, MP3": lambda path, x, rate: write_mp3(
        path, later(x[: 20 * rate], rate, 1.01) / 2, rate
    ),
    "2.01 s later, -6 dB, 44.1 kHz, MP3": lambda path, x, rate: write_mp3(
        path, at_44100(later(x, rate, 2.01) / 2, rate), 44100
    ),
}


def read(path: Path) -> tuple[Samples, int]:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate_hz


def main(folder: Path) -> int:
    formats = {f".{name.lower()}" for name in soundfile.available_formats()}
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in formats)
    n = len(paths)
    originals = [fingerprint(*read(path)) for path in paths]
    pairs = near_duplicates(originals)
    for first, second, rate in pairs:
        print(f"among the originals: {paths[first]} and {paths[second]}, {rate:.3f} of bits differ")
    failed = n == 0 or bool(pairs)
    print(f"{f'{n} tracks':<40}{'found':>8}{'false':>8}{'highest bit error rate':>26}")
    for name, change in {**REQUIRED, **FURTHER}.items():
        copies = []
        for path in paths:
            with tempfile.TemporaryDirectory() as temporary:
                copies.append(fingerprint(*read(change(Path(temporary, "copy"), *read(path)))))
        pairs = near_duplicates([*originals, *copies])
        found = [rate for first, second, rate in pairs if second - first == n]
        n_false = len(pairs) - len(found)
        print(f"{name:<40}{len(found):>8}{n_false:>8}{max(found, default=np.nan):>26.3f}", flush=True)
        failed |= n_false > 0 or (name in REQUIRED and len(found) < n)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
