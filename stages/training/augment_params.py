"""The `augment` section of params.yaml."""

from typing import ClassVar

from pydantic import Field

from stages.core.params import Params


class SpecAugment(Params):
    """Masks over frequency and time, which set a part of the input to its mean (Park et al., 2019).

    Attributes
    ----------
    freq_masks, time_masks : int
        Number of masks of each kind.
    max_bins, max_frames : float
        Maximum width of a mask, as a share of the bins or frames.
    """

    freq_masks: int = Field(ge=0)
    max_bins: float = Field(gt=0, le=1)
    time_masks: int = Field(ge=0)
    max_frames: float = Field(gt=0, le=1)
    renamed: ClassVar[dict[str, str]] = {"bands": "freq_masks", "stretches": "time_masks"}


class AugmentParams(Params):
    """The `augment` section: random changes to training segments, drawn anew in every epoch; None: no change.

    Attributes
    ----------
    specaugment : SpecAugment or None
    mixup : float or None
        Alpha of the Beta distribution of the mixing shares (Zhang et al., 2018).
    noise : float or None
        Standard deviation of added white noise, relative to that of the data.
    gain_db : float or None
        Maximum change of level, up or down; for features in dB.
    shift : float or None
        Maximum rotation in time, forward or backward, as a share of the segment.
    time_resized_crop : float or None
        Minimum length of the part that is cut out and stretched to the segment's length, as a share of it.
    """

    specaugment: SpecAugment | None
    mixup: float | None = Field(gt=0)
    noise: float | None = Field(gt=0)
    gain_db: float | None = Field(gt=0)
    shift: float | None = Field(gt=0, le=1)
    time_resized_crop: float | None = Field(gt=0, lt=1)
    renamed: ClassVar[dict[str, str]] = {"crop": "time_resized_crop"}

    @property
    def active(self) -> list[str]:
        """Names of the augmentations that are on."""
        return [name for name, value in self if value is not None]

    def only(self, name: str) -> "AugmentParams":
        """Return the same with a single augmentation."""
        return self.model_copy(update={other: None for other in self.active if other != name})
