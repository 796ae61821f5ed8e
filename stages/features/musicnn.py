"""What a network that was trained on tags of music makes of it: musicnn (Pons & Serra, 2019)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stages.features import filters
from stages.features.feature import Feature
from stages.features.resampling import resample, resampled_length
from stages.features.spectra import Framing, Segments, periodic_window

RATE_HZ = 16_000
FRAMING = Framing(n_fft=512, hop_length=256, window="hann", pad_mode="constant")
N_MELS = 96
GAIN = np.float32(10_000)  # of mel power before the logarithm
PATCH = 187  # frames, three seconds
TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s",
    "alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul",
    "indie rock", "Mellow", "electronica", "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies",
    "blues", "hard rock", "ambient", "acoustic", "experimental", "female vocalist", "guitar", "Hip-Hop",
    "70s", "party", "country", "easy listening", "sexy", "catchy", "funk", "electro", "heavy metal",
    "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)  # fmt: skip
BINS: dict[str, NDArray[Any]] = {
    "max_pool": np.arange(753, dtype=np.float64),
    "penultimate": np.arange(200, dtype=np.float64),
    "tag_logits": np.array(TAGS),
}
TRAINED_ON = ["genre tags of the Million Song Dataset"]


class Musicnn(Feature):
    """A layer of the network MSD_musicnn, one column for each patch of three seconds; the rest is dropped.

    The network was trained on the 50 most frequent tags of the Million Song Dataset. Its authors' package,
    musicnn 0.1.0, defines all values (https://github.com/jordipons/musicnn): music at 16 kHz, 96 mel bands
    (`librosa.feature.melspectrogram`, frames of 512 samples, hop 256), rounded to float16,
    ``log10(1 + 10000 * mel)``, 187 frames a patch.

    Attributes
    ----------
    layer : {'max_pool', 'penultimate', 'tag_logits'}
        The highest values over time of all convolutions (753); the last hidden layer (200); the tags before
        the sigmoid (50).
    """

    layer: Literal["max_pool", "penultimate", "tag_logits"]
    module: ClassVar[str] = "stages.features.musicnn_network"
    packages: ClassVar[Sequence[str]] = ("musicnn", "torch")

    @property
    def unit(self) -> str:
        """Log-odds of tags; layers have none."""
        return "logit" if self.layer == "tag_logits" else "1"

    def bins(self) -> tuple[str, NDArray[Any]]:
        return f"musicnn_{self.layer}", BINS[self.layer]

    def time_s(self, length: int) -> NDArray[np.float64]:
        n_patches = FRAMING.n_frames(resampled_length(length, self.sample_rate_hz, RATE_HZ)) // PATCH
        centres = np.arange(n_patches, dtype=np.float64) * PATCH + (PATCH - 1) / 2
        return centres * (FRAMING.hop_length / RATE_HZ)

    def check_music(self, length: int) -> None:
        least_s = (PATCH - 1) * FRAMING.hop_length / RATE_HZ
        if len(self.time_s(length)) == 0:
            raise ValueError(
                f"include has 'musicnn', which takes segments of at least {least_s:g} s, "
                f"but segment.length_s is {length / self.sample_rate_hz:g}; choose more"
            )

    def remark(self) -> str:
        if self.sample_rate_hz >= RATE_HZ:
            return ""
        return (
            f"musicnn was trained on music of {RATE_HZ} Hz; at {self.sample_rate_hz} Hz its highest bands "
            "are empty, and its values are worth less"
        )

    def stored_settings(self) -> dict[str, Any]:
        return {**super().stored_settings(), "trained_on": TRAINED_ON}

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        from stages.features.musicnn_network import compute

        patches = self._patches(segments.samples)
        values = compute(patches.reshape(-1, PATCH, N_MELS), self.layer)
        return values.reshape(*patches.shape[:2], -1)

    def _patches(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the patches of segments (n_segments, length): (n_segments, n_patches, 187, 96)."""
        mel = _mel(resample(samples, self.sample_rate_hz, RATE_HZ)).astype(np.float16).astype(np.float32)
        level: NDArray[np.float32] = np.log10(1 + GAIN * mel)
        n_patches = level.shape[1] // PATCH
        return level[:, : n_patches * PATCH].reshape(len(level), n_patches, PATCH, N_MELS)


def _mel(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return mel power (n_segments, n_frames, 96), in double precision: others round to float16 otherwise."""
    import scipy.fft

    frames = FRAMING.frames(samples) * periodic_window(FRAMING.window, FRAMING.n_fft)
    spectra = scipy.fft.rfft(frames, overwrite_x=True)
    mel: NDArray[np.float64] = (np.square(spectra.real) + np.square(spectra.imag)) @ _filters()
    return mel


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float64]:
    edges_hz = filters.mel_edges_hz(N_MELS, 0.0, RATE_HZ / 2, htk=False)
    return filters.mel(edges_hz, FRAMING.frequency_hz(RATE_HZ), unit_area=True).T.copy()
