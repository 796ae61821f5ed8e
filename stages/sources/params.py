"""The parameters that every source has."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from stages.core.errors import EncoreError
from stages.core.params import ClassName, Params
from stages.core.user_tables import spelled


class SourceParams(Params):
    """Parameters common to all sources.

    Attributes
    ----------
    name : str
        Which source.
    classes : list of str or None
        Only these classes; None for all. Unlabelled tracks are kept in both cases.
    tracks_per_class : int or None
        At most so many tracks of each class, and of the unlabelled ones; None for all.
    fraction : float
        Share of each class, and of the unlabelled tracks, to take.
    seed : int
        Decides which tracks these are.
    labels : str or None
        CSV with verdicts about labels, which correct them; None: there are none.
    watch, watch_metadata, watch_labels : str
        Files or folders that DVC watches for changes: the music, what is said about it elsewhere, `labels`.
    publishes_split : bool
        Whether the authors of the dataset publish a split.
    takes_table_of_labels : bool
        Whether `labels` may also be a table that labels all tracks.
    """

    publishes_split: ClassVar[bool] = False
    takes_table_of_labels: ClassVar[bool] = False
    name: str
    classes: list[ClassName] | None = Field(min_length=1)
    tracks_per_class: int | None = Field(ge=1)
    fraction: float = Field(gt=0, le=1)
    seed: int = Field(ge=0)
    labels: str | None = None
    watch: str
    watch_metadata: str
    watch_labels: str

    @property
    def most_per_class(self) -> int | None:
        """How many tracks of a class are chosen at most; None: all."""
        return self.tracks_per_class

    @field_validator("classes")
    @classmethod
    def _spelled_one_way(cls, classes: list[str] | None) -> list[str] | None:
        return classes and [spelled(label) for label in classes]


def absolute(path: str, key: str) -> Path:
    """Return the path that the user gives as ``dataset.KEY``.

    Raises
    ------
    EncoreError
        If it is relative, since experiments may run in a temporary copy of the project.
    """
    given = Path(path)
    if not given.is_absolute():
        raise EncoreError(
            f"dataset.{key}: {path!r} is relative; give the absolute path, such as {Path.cwd() / given}"
        )
    return given
