"""Features of ten tracks: the shared, batched STFT against librosa's functions for each segment."""

import librosa
import numpy as np
import torch

from stages.audio.spectra import Spectra, extract
from tests.benchmarks.timing import compare

RATE_HZ = 22050
LENGTH = 3 * RATE_HZ


def run() -> None:
    """Time both on one thread, on made-up music: what is in the samples does not change the work."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    tracks = [rng.standard_normal(10 * LENGTH).astype(np.float32) * 0.1 for _ in range(10)]
    cuts = [(i * LENGTH, (i + 1) * LENGTH) for i in range(10)]
    spectra = Spectra(RATE_HZ, 2048, 512, "constant", 128, 13, ("mfcc", "mel"))

    def librosa_per_segment() -> None:
        for track in tracks:
            for start, stop in cuts:
                segment = track[start:stop]
                librosa.power_to_db(librosa.feature.melspectrogram(y=segment, sr=RATE_HZ))
                librosa.feature.mfcc(y=segment, sr=RATE_HZ, n_mfcc=13)

    compare(
        "mel and MFCC of 100 segments of 3 s, one thread",
        {
            "Encore": lambda: [extract(track, cuts, spectra) for track in tracks],
            "librosa, feature by feature": librosa_per_segment,
        },
        5,
    )
