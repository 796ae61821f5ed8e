"""Mel and MFCC of segments by other libraries, as they document it: `BENCH_PEERS=1 make bench`.

None is in requirements.lock. One that is not installed, or does not load, is named and left out.
"""

from collections.abc import Callable
from importlib import import_module

import numpy as np

N_FFT, HOP_LENGTH, N_MELS, N_MFCC = 2048, 512, 128, 13

Segments = np.ndarray  # of float32 (n_segments, n_samples)
Peer = Callable[[Segments], dict[str, np.ndarray]]


def torchaudio(rate_hz: int) -> Peer:
    """All segments at once, in torch's own threads."""
    torch, transforms = import_module("torch"), import_module("torchaudio.transforms")
    functional = import_module("torchaudio.functional")
    mel = transforms.MelSpectrogram(
        rate_hz, N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS, norm="slaney", mel_scale="slaney"
    )
    to_db, dct = transforms.AmplitudeToDB(top_db=80.0), functional.create_dct(N_MFCC, N_MELS, "ortho")

    def compute(segments: Segments) -> dict[str, np.ndarray]:
        decibels = to_db(mel(torch.from_numpy(segments)))
        mfcc = torch.matmul(decibels.transpose(-1, -2), dct).transpose(-1, -2)
        return {"mel": decibels.numpy(), "mfcc": mfcc.numpy()}

    return compute


def essentia(rate_hz: int) -> Peer:
    """Frame by frame."""
    standard = import_module("essentia.standard")
    window, spectrum = standard.Windowing(type="hann"), standard.Spectrum(size=N_FFT)
    mfcc = standard.MFCC(
        sampleRate=rate_hz,
        inputSize=N_FFT // 2 + 1,
        numberBands=N_MELS,
        numberCoefficients=N_MFCC,
        highFrequencyBound=rate_hz / 2,
        warpingFormula="slaneyMel",
    )

    def compute(segments: Segments) -> dict[str, np.ndarray]:
        pairs = [
            [mfcc(spectrum(window(frame))) for frame in standard.FrameGenerator(segment, N_FFT, HOP_LENGTH)]
            for segment in segments
        ]
        bands, coefficients = (np.array([[pair[i] for pair in one] for one in pairs]) for i in (0, 1))
        return {
            "mel": 10 * np.log10(np.maximum(bands, 1e-10)).transpose(0, 2, 1),
            "mfcc": coefficients.transpose(0, 2, 1),
        }

    return compute


def installed(rate_hz: int) -> dict[str, Peer]:
    """Return those that load; print why the others do not."""
    peers = {}
    for make in (torchaudio, essentia):
        try:
            peers[make.__name__] = make(rate_hz)
        except (ImportError, OSError) as error:
            print(f"  {make.__name__} is left out: {error}")
    return peers
