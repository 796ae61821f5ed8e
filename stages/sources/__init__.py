"""Where music comes from: one class per source, one protocol for all."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stages.core.errors import EncoreError
from stages.core.params import check
from stages.core.tables import RawTrack


@dataclass(frozen=True)
class Contents:
    """What a source has to offer when it is whole.

    Attributes
    ----------
    n_tracks : int or None
        How many tracks there are before any are chosen; None: not known in advance.
    checksums : dict of str to str
        Published checksum of each file that is downloaded, such as ``{"a.zip": "sha1:…"}``; empty:
        none are published.
    """

    n_tracks: int | None = None
    checksums: dict[str, str] = field(default_factory=dict)


class Source(Protocol):
    """A place that music comes from.

    Attributes
    ----------
    name : str
        Name of its file in conf/dataset/.
    licence, citation : str
        Of the data, for reports; "unknown" where they are the user's business.
    caveat : str
        What every report must say beside a number from this source; may be empty.
    expected : Contents
        What the source consists of, as far as that is known.
    """

    name: str
    licence: str
    citation: str
    caveat: str
    expected: Contents

    def fetch(self, into: Path) -> list[RawTrack]:
        """Put the audio below `into` (an empty folder) and return a row for every track.

        Raises
        ------
        EncoreError
            If the music cannot be had; the line says what the user can do.
        """


def build(values: Any) -> Source:
    """The source that the `dataset` section of params.yaml names.

    Raises
    ------
    EncoreError
        If there is no such source, or its parameters are wrong.
    """
    from stages.sources import fma, folder, gtzan, sample

    sources: dict[str, Any] = {
        "sample": (sample.SampleParams, sample.Sample),
        "folder": (folder.FolderParams, folder.Folder),
        "gtzan": (gtzan.GtzanParams, gtzan.Gtzan),
        "fma": (fma.FmaParams, fma.Fma),
    }
    name = values.get("name") if isinstance(values, dict) else None
    if not isinstance(name, str) or name not in sources:
        raise EncoreError(f"params.yaml: dataset.name is {name!r}, should be one of {', '.join(sources)}")
    params_type, source_type = sources[name]
    source: Source = source_type(check(values, params_type, "dataset"))
    return source
