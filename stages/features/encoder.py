"""What a network that a user brings makes of the music: a waveform goes in, embeddings come out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.core.errors import EncoreError
from stages.features.feature import Feature
from stages.features.resampling import resample, resampled_length
from stages.features.spectra import Segments

if TYPE_CHECKING:
    from stages.features.onnx_network import Network

NOT_GIVEN = "???"  # Hydra's word for a value that has no default


class Encoder(Feature):
    """Embeddings of each segment's waveform, by a network in an ONNX file.

    Values are as exact as ONNX Runtime is: their last bits may differ between kinds of CPU.

    Attributes
    ----------
    path : str
        See `stages.features.onnx_network.Network`.
    rate_hz : int
        Sample rate that the network takes; music is resampled to it.
    hop_length : int or None
        Samples at that rate from one embedding to the next; None: a segment has one.
    trained_on : sequence of str
        Names of datasets whose music the network may know.
    """

    path: str
    rate_hz: int = Field(ge=1000, le=384_000)
    hop_length: Annotated[int, Field(ge=1)] | None
    trained_on: Annotated[tuple[str, ...], Field(strict=False)]
    unit: ClassVar[str] = "1"
    module: ClassVar[str] = "stages.features.onnx_network"
    packages: ClassVar[Sequence[str]] = ("onnxruntime",)

    def bins(self) -> tuple[str, NDArray[np.float64]]:
        return "encoder_value", np.arange(self._network.n_values, dtype=np.float64)

    def time_s(self, length: int) -> NDArray[np.float64]:
        """Return where the embeddings are centred: at equal distances about the middle of the segment.

        Raises
        ------
        EncoreError
            If the network does not take such segments, or makes other frames than `hop_length` says.
        """
        n_samples = resampled_length(length, self.sample_rate_hz, self.rate_hz)
        n_frames = self._n_frames(n_samples)
        from_middle = np.arange(n_frames, dtype=np.float64) - (n_frames - 1) / 2
        centres: NDArray[np.float64] = n_samples / 2 + from_middle * (self.hop_length or 0)
        return centres / np.float64(self.rate_hz)

    def check_settings(self) -> None:
        if self.path == NOT_GIVEN:
            raise ValueError("encoder.path is not given; add -S features.encoder.path=/some/encoder.onnx")

    def remark(self) -> str:
        if self.sample_rate_hz >= self.rate_hz:
            return ""
        return (
            f"the encoder takes music of {self.rate_hz} Hz; at {self.sample_rate_hz} Hz the highest "
            f"frequencies are missing; audio.sample_rate_hz={self.rate_hz} has them"
        )

    def stored_settings(self) -> dict[str, Any]:
        return {
            **super().stored_settings(),
            "trained_on": list(self.trained_on),
            "sha256": self._network.sha256,
        }

    def check_stored(self, settings: Mapping[str, Any]) -> None:
        if settings["sha256"] != self._network.sha256:
            raise EncoreError(
                f"{self._file[0]}: not the encoder that the model was trained with, whose SHA-256 is "
                f"{settings['sha256']}"
            )

    def _compute(self, segments: Segments) -> NDArray[np.float32]:
        samples = resample(segments.samples, self.sample_rate_hz, self.rate_hz)
        values = np.stack([self._network(segment) for segment in samples])
        if not np.isfinite(values).all():
            of = "of a silent segment" if (samples == 0).all(axis=1).any() else "of some music"
            raise EncoreError(f"{self._file[0]}: makes values {of} that are infinite or not a number")
        return values

    def _n_frames(self, n_samples: int) -> int:
        """Count the embeddings of a segment of `n_samples` samples, once it is known to fit."""
        from stages.features.onnx_network import n_frames

        path, network = self._file[0], self._network
        if network.n_samples not in (None, n_samples):
            raise EncoreError(
                f"{path}: takes {network.n_samples} samples, {network.n_samples / self.rate_hz:g} s at "
                f"{self.rate_hz} Hz, but a segment has {n_samples}; change segment.length_s or "
                "features.encoder.rate_hz, or export it anew"
            )
        if not network.has_frames:
            return 1
        found = n_frames(*self._file, n_samples)
        if found == 0:
            raise EncoreError(f"{path}: makes no frame of {n_samples} samples; raise segment.length_s")
        if found > 1 and (self.hop_length is None or (found - 1) * self.hop_length > n_samples):
            raise EncoreError(
                f"features.encoder.hop_length is {self.hop_length or 'null'}, but of {n_samples} samples "
                f"{path} makes {found} frames, one for about {n_samples // found}"
            )
        return found

    @property
    def _file(self) -> tuple[Path, int]:
        """Where the network is, and when it was changed, in ns."""
        path = Path(self.path)
        try:
            return path, path.stat().st_mtime_ns
        except OSError as error:
            raise EncoreError(f"features.encoder.path: {path}: {error.strerror}") from None

    @property
    def _network(self) -> "Network":
        from stages.features.onnx_network import load

        return load(*self._file)
