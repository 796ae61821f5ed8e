"""Any folder of music: one sub-folder for each class, or a table of labels."""

import hashlib
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import field_validator

from stages.core.errors import EncoreError, some
from stages.core.tables import RawTrack
from stages.core.user_tables import read_pairs, spelled
from stages.sources.choice import choose
from stages.sources.corrected import has_corrections
from stages.sources.music_below import LeftOut, group_of, music_below
from stages.sources.params import SourceParams, absolute
from stages.sources.source import Published


class FolderParams(SourceParams):
    """Parameters of the folder source.

    Attributes
    ----------
    path : str
        Absolute path of the music.
    labels : str or None
        CSV with verdicts, which correct the folders' names, or with the columns path (below the folder) and
        label, which replaces them; None for those.
    group_pattern : str or None
        Regular expression that is searched in each path below the folder; what its named groups match
        is the track's group. None for no groups.
    """

    takes_table_of_labels: ClassVar[bool] = True
    name: Literal["folder"]
    path: str
    group_pattern: str | None

    @field_validator("group_pattern")
    @classmethod
    def _names_a_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                named = re.compile(pattern).groupindex
            except re.error as error:
                raise ValueError(f"should be a regular expression ({error})") from None
            if not named:
                raise ValueError("should have a named group, such as (?P<artist>[^/]+)")
        return pattern


class Folder:
    """Music below a folder: the first folder name is the class, files outside any are unlabelled."""

    name = "folder"
    licence = "unknown: for the user to know"
    citation = "none"
    caveat = ""

    def __init__(self, params: FolderParams):
        self.params = params

    def published(self) -> Published:
        """Return what is in the folder now."""
        root = self._root()
        return Published(tracks=self._tracks(root, LeftOut()), original=root)

    def fetch(self, into: Path) -> list[RawTrack]:
        """Copy the music; track_id is the path below the folder.

        Raises
        ------
        EncoreError
            If the folder is not absolute or not there, a class of `classes` is not in it, the table of
            labels is wrong, all classes are in one folder of it, a file cannot be read, or the disk is full.
        """
        from tqdm import tqdm

        root, left_out = self._root(), LeftOut()
        tracks = self._tracks(root, left_out)
        for line in left_out.lines():
            print(f"fetch: {line}")
        if self.params.group_pattern and (lone := [track.track_id for track in tracks if not track.group]):
            print(f"fetch: dataset.group_pattern finds no group in {some(lone)}")
        if not self._has_table_of_labels():
            _assert_not_too_high(root, tracks)
        chosen = choose(tracks, self.params, str(root))
        return [_copy(root, track, into) for track in tqdm(chosen, "fetch", unit="track", disable=None)]

    def _root(self) -> Path:
        root = absolute(self.params.path, "path")
        if not root.is_dir():
            raise EncoreError(f"dataset.path: no folder {root}")
        return root

    def _tracks(self, root: Path, left_out: LeftOut) -> list[RawTrack]:
        """List the music below `root`; hash and size of the files are not known yet."""
        try:
            paths = [path.relative_to(root).as_posix() for path in music_below(root, left_out)]
        except OSError as error:
            raise EncoreError(
                f"dataset.path: cannot look into {error.filename}: {error.strerror or error}"
            ) from None
        except RecursionError:
            raise EncoreError(f"dataset.path: {root} has folders in folders without end") from None
        for path in paths:
            _assert_nameable(path)
        labels = self._labels(paths, left_out)
        return [
            RawTrack(
                track_id=path,
                path=path,
                label=labels[path],
                group=group_of(path, self.params.group_pattern),
                source=self.name,
            )
            for path in paths
        ]

    def _has_table_of_labels(self) -> bool:
        return self.params.labels is not None and not has_corrections(self.params)

    def _labels(self, paths: Iterable[str], left_out: LeftOut) -> dict[str, str]:
        names = {path: spelled(path) for path in paths}
        if self.params.labels is None or has_corrections(self.params):
            return {path: _folder_of(name) for path, name in names.items()}
        table = Path(self.params.labels)
        given = read_pairs(table, "path", "label", "dataset.labels")
        if unknown_paths := sorted(given.keys() - set(names.values())):
            left_out.notes.append(f"{table} names files that are not there: {some(unknown_paths)}")
        labels = {path: given.get(name, "") for path, name in names.items()}
        if labels and not any(labels.values()):
            raise EncoreError(
                f"dataset.labels: {table} labels none of the files; its paths should look like {min(labels)}"
            )
        return labels


def _copy(root: Path, track: RawTrack, into: Path) -> RawTrack:
    """Copy a file; return its row, now with hash and size."""
    path, copy = root / track.path, into / track.path
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        with copy.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoreError(f"dataset.path: cannot copy {path}: {error.strerror or error}") from None
    return replace(track, sha256=sha256, bytes=copy.stat().st_size)


def _assert_nameable(name: str) -> None:
    """Raise `EncoreError` on a name that a table in UTF-8 cannot hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise EncoreError(f"dataset.path: {name!r} is not named in UTF-8; rename it") from None
    if any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in name):
        raise EncoreError(f"dataset.path: {name!r} has control characters in its name; rename it")


def _folder_of(path: str) -> str:
    """Return the first folder of a path, which is its class; empty: it is in none."""
    folder, _, below = path.partition("/")
    return spelled(folder) if below else ""


def _assert_not_too_high(root: Path, tracks: Iterable[RawTrack]) -> None:
    """Raise `EncoreError` if the folders of the classes are all in one, which would be the only class."""
    folders = [Path(track.path).parent for track in tracks if track.label]
    common = Path(os.path.commonpath(folders)) if folders else Path()
    if common.parts and common not in folders:
        inner = sorted({folder.parts[len(common.parts)] for folder in folders})
        raise EncoreError(
            f"dataset.path: {root} would have one class only, {common.parts[0]}; if the folders in "
            f"{root / common} ({some(inner)}) are the classes, give dataset.path={root / common}"
        )
