"""Any folder of music: one sub-folder per class, or a table of labels."""

import hashlib
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from stages.audio.formats import is_music
from stages.core.errors import EncoreError
from stages.core.tables import RawTrack, read_pairs
from stages.sources import Contents
from stages.sources.choice import choose
from stages.sources.params import SourceParams, absolute


class FolderParams(SourceParams):
    """Parameters of the folder source.

    Attributes
    ----------
    path : str
        Absolute path of the music.
    labels : str or None
        CSV with the columns path (below the folder) and label, which replaces the folders' names;
        None for those.
    group_pattern : str or None
        Regular expression that is searched in each path below the folder; what its named groups match
        is the track's group. None for no groups.
    """

    name: Literal["folder"]
    path: str
    labels: str | None = None
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
    licence = "unknown: yours to know"
    citation = "none"
    caveat = ""
    expected = Contents()

    def __init__(self, params: FolderParams):
        self.params = params

    def fetch(self, into: Path) -> list[RawTrack]:
        """Copy the music; track_id is the path below the folder.

        Raises
        ------
        EncoreError
            If the folder is not absolute or not there, a class of `classes` is not in it, the table of
            labels is wrong, a file cannot be read, or the disk is full.
        """
        root = absolute(self.params.path, "path")
        if not root.is_dir():
            raise EncoreError(f"dataset.path: no folder {root}")
        from tqdm import tqdm

        found = _Found()
        try:
            files = {path.relative_to(root).as_posix(): path for path in _walk(root, root.resolve(), found)}
        except OSError as error:
            raise EncoreError(
                f"dataset.path: cannot look into {error.filename}: {error.strerror or error}"
            ) from None
        except RecursionError:
            raise EncoreError(f"dataset.path: {root} has folders in folders without end") from None
        labels = self._labels(files)
        groups = {track_id: self._group(track_id) for track_id in files}
        found.report()
        if self.params.group_pattern is not None and (lone := [t for t in files if not groups[t]]):
            print(f"fetch: dataset.group_pattern finds no group in {_some(lone)}")
        return [
            self._copy(files[track_id], track_id, labels[track_id], groups[track_id], into)
            for track_id in tqdm(choose(labels, self.params, str(root)), "fetch", unit="track", disable=None)
        ]

    def _labels(self, files: Mapping[str, Path]) -> dict[str, str]:
        if self.params.labels is None:
            return {name: _spelled(name.partition("/")[0]) if "/" in name else "" for name in files}
        table = Path(self.params.labels)
        given = {
            _spelled(path): label
            for path, label in read_pairs(table, "path", "label", "dataset.labels").items()
        }
        names = {track_id: _spelled(track_id) for track_id in files}
        if strangers := sorted(given.keys() - set(names.values())):
            print(f"fetch: {table} names files that are not there: {_some(strangers)}")
        labels = {track_id: given.get(name, "") for track_id, name in names.items()}
        if files and not any(labels.values()):
            raise EncoreError(
                f"dataset.labels: {table} labels none of the files; its paths should look like {min(files)}"
            )
        return labels

    def _group(self, track_id: str) -> str:
        match = (
            re.search(self.params.group_pattern, _spelled(track_id)) if self.params.group_pattern else None
        )
        return " / ".join(part for part in match.groupdict().values() if part) if match else ""

    def _copy(self, path: Path, track_id: str, label: str, group: str, into: Path) -> RawTrack:
        copy = into / track_id
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            with copy.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EncoreError(f"dataset.path: cannot copy {path}: {error.strerror or error}") from None
        return RawTrack(
            track_id=track_id,
            path=track_id,
            label=label,
            group=group,
            split="",
            fault="",
            sha256=sha256,
            bytes=copy.stat().st_size,
            source=self.name,
        )


@dataclass
class _Found:
    """What lies below the folder and is not taken."""

    astray: list[str] = field(default_factory=list)  # links
    others: Counter[str] = field(default_factory=Counter)  # files that hold no music, by suffix

    def report(self) -> None:
        if self.astray:
            print(
                "fetch: left out links that lead out of the folder or nowhere, or on from another link: "
                f"{_some(self.astray)}"
            )
        if self.others:
            kinds = ", ".join(f"{_some([suffix])} {n}" for suffix, n in self.others.most_common(5))
            print(f"fetch: left out {self.others.total()} files that are no music by their names: {kinds}")


def _walk(
    folder: Path, root: Path, found: _Found, above: tuple[str, ...] = (), is_linked: bool = False
) -> Iterator[Path]:
    """Music below `folder` in sorted order, hidden files apart.

    Links are followed inside `root` only, and not on from where a link has led, since folders that are
    linked to one another would multiply.
    """
    here = os.path.realpath(folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        target = Path(os.path.realpath(path))
        if not (target.exists() and target.is_relative_to(root)):
            found.astray.append(str(path))
        elif target.is_dir():
            if path.is_symlink() and is_linked:
                found.astray.append(str(path))
            elif str(target) not in (*above, here):  # a link to a folder above would lead round in circles
                _assert_nameable(path.name)
                yield from _walk(path, root, found, (*above, here), is_linked or path.is_symlink())
        elif is_music(path) and target.is_file():
            _assert_nameable(path.name)
            yield path
        else:
            found.others[path.suffix.lower() or "no suffix"] += 1


def _assert_nameable(name: str) -> None:
    """Raise `EncoreError` on a name that a table in UTF-8 cannot hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise EncoreError(f"dataset.path: {name!r} is not named in UTF-8; rename it") from None
    if any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in name):
        raise EncoreError(f"dataset.path: {name!r} has control characters in its name; rename it")


def _spelled(name: str) -> str:
    """Systems differ in how they spell an accent; to the user it is one name."""
    return unicodedata.normalize("NFC", name)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]).encode("utf-8", "backslashreplace").decode() + more
