"""The sections `audio`, `render` and `quality` of params.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from stages.core.params import Params

MOST_RENDERED_S = 3600.0

KeepOrDrop = Literal["keep", "drop"]
GroupDropOrKeep = Literal["group", "drop", "keep"]


class AudioParams(Params):
    """The `audio` section.

    Attributes
    ----------
    sample_rate_hz : int
        Sample rate that every track is resampled to.
    """

    sample_rate_hz: int = Field(ge=2000, le=192000)


class RenderParams(Params):
    """The `render` section: how MIDI is played.

    Attributes
    ----------
    window_s : float
        Length of a window.
    windows : int
        Maximum number of windows, spread evenly over the music; a single one is its start, or begins with its
        first note if that comes later than a window is long.
    control : bool
        Play all notes on one instrument at one velocity without controllers.
    """

    window_s: float = Field(gt=0)
    windows: int = Field(ge=1)
    control: bool

    @model_validator(mode="after")
    def _bounded_length(self) -> "RenderParams":
        if self.windows * self.window_s > MOST_RENDERED_S:
            raise ValueError(
                f"windows is {self.windows}, should be at most {MOST_RENDERED_S / self.window_s:.0f}, for "
                f"windows of {self.window_s:g} s"
            )
        return self


class QualityParams(Params):
    """The `quality` section: limits, and what to do with files beyond them.

    A file that cannot be decoded, is empty or too long is always dropped. Of duplicates, `group` keeps all
    and puts them into the same split, `drop` keeps the first labelled one, and `keep` treats them as
    different files.

    Attributes
    ----------
    min_duration_s, max_duration_s : float
        Shorter files are "too short", longer ones are not decoded to their end.
    silence_db : float
        A file whose peak, mixed to mono, is below it (in dB of full scale) is "silent".
    max_clipped : float
        A file with a larger share of samples at full scale is "clipped".
    max_dc_offset : float
        A file with a larger mean of its samples has a "DC offset"; full scale is 1.
    on_too_short, on_silent, on_clipped, on_dc_offset, on_mislabelled, on_known_fault : {'keep', 'drop'}
        A mislabelled file has content of another type than its name says; the dataset publishes the
        known faults.
    on_cut_short : {'keep', 'drop'}
        For files that should last over 50 ms longer than what can be read of them, or that hold other music
        beside what is read. Kept by default: what is read is music of that track, like any excerpt.
    on_not_finite : {'keep', 'drop'}
        For files with NaN or infinite samples; if kept, these samples are zero.
    on_duplicate : {'group', 'drop', 'keep'}
        For files that decode to the same samples.
    on_near_duplicate : {'group', 'drop', 'keep'}
        For files with the same recording, but another encoding, cut or level.
    """

    min_duration_s: float = Field(ge=0)
    max_duration_s: float = Field(gt=0)
    silence_db: float = Field(le=0)
    max_clipped: float = Field(ge=0, le=1)
    max_dc_offset: float = Field(ge=0, le=1)
    on_not_finite: KeepOrDrop
    on_silent: KeepOrDrop
    on_too_short: KeepOrDrop
    on_cut_short: KeepOrDrop
    on_duplicate: GroupDropOrKeep
    on_near_duplicate: GroupDropOrKeep
    on_clipped: KeepOrDrop
    on_dc_offset: KeepOrDrop
    on_mislabelled: KeepOrDrop
    on_known_fault: KeepOrDrop
