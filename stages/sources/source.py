"""What every source of music is, and what it publishes about its music."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stages.core.tables import RawTrack
from stages.sources.params import SourceParams


@dataclass(frozen=True)
class Published:
    """What a source says about its music before any is chosen; ``make validate`` compares the music with it.

    Attributes
    ----------
    tracks : sequence of RawTrack or None
        Every track that there is. Hash, size and, of some sources, the path are known only once it is
        fetched. None: the list of tracks is not on this machine.
    n_tracks : int or None
        How many tracks there are; None: no number is published.
    split_sizes : dict of str to int
        How many of them are in train, valid and test; empty: no split is published.
    optional : frozenset of str
        track_id of tracks that some copies lack.
    sha1 : dict of str to str
        SHA-1 of each archive that is downloaded, by its name in ``.encore/downloads``; empty: none is
        published.
    original : Path or None
        The user's folder that files are copied from, where they have the same paths; None: there is none.
    """

    tracks: Sequence[RawTrack] | None = None
    n_tracks: int | None = None
    split_sizes: Mapping[str, int] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    sha1: Mapping[str, str] = field(default_factory=dict)
    original: Path | None = None


class Source(Protocol):
    """A place that music comes from.

    Attributes
    ----------
    name : str
        Name of its file in conf/dataset/.
    licence, citation : str
        Of the data, for reports; "unknown" where only the user can know.
    caveat : str
        What every report must say beside a number from this source; may be empty.
    """

    name: str
    licence: str
    citation: str
    caveat: str

    @property
    def params(self) -> SourceParams:
        """The checked `dataset` section."""

    def published(self) -> Published:
        """Return what is known of the music without fetching any.

        Raises
        ------
        EncoreError
            If a file or folder that the user names cannot be read.
        """

    def fetch(self, into: Path) -> list[RawTrack]:
        """Put the audio below `into` (an empty folder) and return a row for every track.

        Raises
        ------
        EncoreError
            If the music cannot be had; the line says what the user can do.
        """
