"""The base class of all features: checked, immutable settings, and how values are computed with them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.fields import FieldInfo

from stages.core.params import Params
from stages.features.spectra import Framing, Segments


class Feature(Params, ABC):
    """A feature with its settings; two features with equal settings are equal, and computed once.

    The fields of a class are its settings, with the values that are allowed. Fields whose type is a feature
    are its parts; the others are keys of the feature's section of params.yaml.

    Attributes
    ----------
    sample_rate_hz : int
        Of the music.
    dtype : type
        Of the values.
    fixed : mapping of str to mapping
        Settings of parts that do not come from the part's section, by the part's name.
    module : str
        A module that the computation loads, beside this one; empty: none.
    packages : sequence of str
        Whose versions may change the values, beside those that all features need.
    """

    sample_rate_hz: int = Field(ge=1)
    dtype: ClassVar[type[np.generic]] = np.float32
    fixed: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    module: ClassVar[str] = ""
    packages: ClassVar[Sequence[str]] = ()

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the values; "1" where they have none."""

    @property
    def is_codes(self) -> bool:
        """Whether the values are codes, which a model takes as one-hot."""
        return self.dtype is np.uint8

    @abstractmethod
    def bins(self) -> tuple[str, NDArray[Any]]:
        """Return name and values of the axis that is not time: a number or a name for each of the bins."""

    @abstractmethod
    def time_s(self, length: int) -> NDArray[np.float64]:
        """Return where the frames of a segment of `length` samples are centred, from the segment's start."""

    def remark(self) -> str:
        """Return what a user should know of the feature of this music; empty: nothing."""
        return ""

    def n_empty_bands(self) -> int:
        """Count the mel bands, here or in a part, that are so narrow that they contain no bin."""
        return max((getattr(self, part).n_empty_bands() for part in self.parts()), default=0)

    def of(self, segments: Segments) -> NDArray[Any]:
        """Return the feature of each segment, (n_segments, n_frames, n_bins)."""
        return segments.once(self, self._compute)

    @abstractmethod
    def _compute(self, segments: Segments) -> NDArray[Any]: ...

    def check_settings(self) -> None:
        """Check the settings against each other.

        Raises
        ------
        ValueError
            If they do not fit together; the message begins with a key below ``features``.
        """
        for part in self.parts():
            getattr(self, part).check_settings()

    def check_music(self, length: int) -> None:
        """Check that the settings fit the sample rate and segments of `length` samples.

        Raises
        ------
        ValueError
            If they do not; the message begins with a key below ``features``.
        """
        for part in self.parts():
            getattr(self, part).check_music(length)

    def stored_settings(self) -> dict[str, Any]:
        """Return all settings except the sample rate as plain values."""
        return self.model_dump(exclude={"sample_rate_hz"})

    def check_stored(self, settings: Mapping[str, Any]) -> None:
        """Check that this feature is the one whose `stored_settings` these are.

        Raises
        ------
        EncoreError
            If a file that it needs is missing, or is another one now.
        """

    @classmethod
    def parts(cls) -> dict[str, type["Feature"]]:
        """Return the features that this one is computed from, by field."""
        types = {name: field.annotation for name, field in cls.model_fields.items()}
        return {
            name: kind for name, kind in types.items() if isinstance(kind, type) and issubclass(kind, Feature)
        }

    @classmethod
    def own_settings(cls) -> dict[str, FieldInfo]:
        """Return the fields that are keys of the feature's section of params.yaml, next to ``framing``."""
        others = {*FramedFeature.model_fields, *cls.parts()}
        return {name: field for name, field in cls.model_fields.items() if name not in others}


class FramedFeature(Feature):
    """A feature of frames of samples; a key, ``framing``, says how they differ from the common ones.

    Attributes
    ----------
    framing : Framing
        Also that of all parts.
    uses_pad_mode : bool
        Whether the values depend on the framing's `pad_mode`.
    """

    framing: Framing
    uses_pad_mode: ClassVar[bool] = True

    def time_s(self, length: int) -> NDArray[np.float64]:
        return self.framing.time_s(length, self.sample_rate_hz)

    def stored_settings(self) -> dict[str, Any]:
        """Return all settings except the sample rate as plain values; those of the framing are not nested."""
        settings = super().stored_settings()
        framing: dict[str, Any] = settings.pop("framing")
        return framing | settings
