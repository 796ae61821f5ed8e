"""The sections `audio` and `render` of params.yaml."""

from pydantic import Field, model_validator

from stages.core.params import Params

MOST_RENDERED_S = 3600.0


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
