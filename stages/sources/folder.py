"""Any folder of music: one sub-folder for each class, or a table of labels."""

import hashlib
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from stages.audio.formats import is_music
from stages.core.errors import EncoreError, some
from stages.core.tables import RawTrack
from stages.core.user_tables import read_pairs, spelled
from stages.sources.choice import choose
from stages.sources.params import SourceParams, absolute
from stages.sources.source import Published


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
    licence = "unknown: for the user to know"
    citation = "none"
    caveat = ""

    def __init__(self, params: FolderParams):
        self.params = params

    def published(self) -> Published:
        """Return what is in the folder now."""
        root = self._root()
        return Published(tracks=self._tracks(root, _Found()), original=root)

    def fetch(self, into: Path) -> list[RawTrack]:
        """Copy the music; track_id is the path below the folder.

        Raises
        ------
        EncoreError
            If the folder is not absolute or not there, a class of `classes` is not in it, the table of
            labels is wrong, all classes are in one folder of it, a file cannot be read, or the disk is full.
        """
        from tqdm import tqdm

        root, found = self._root(), _Found()
        tracks = self._tracks(root, found)
        found.report()
        if self.params.group_pattern and (lone := [track.track_id for track in tracks if not track.group]):
            print(f"fetch: dataset.group_pattern finds no group in {some(lone)}")
        if self.params.labels is None:
            _assert_not_too_high(root, tracks)
        chosen = choose(tracks, self.params, str(root))
        return [_copy(root, track, into) for track in tqdm(chosen, "fetch", unit="track", disable=None)]

    def _root(self) -> Path:
        root = absolute(self.params.path, "path")
        if not root.is_dir():
            raise EncoreError(f"dataset.path: no folder {root}")
        return root

    def _tracks(self, root: Path, found: "_Found") -> list[RawTrack]:
        """List the music below `root`; hash and size of the files are not known yet."""
        try:
            paths = [path.relative_to(root).as_posix() for path in _walk(root, root.resolve(), found)]
        except OSError as error:
            raise EncoreError(
                f"dataset.path: cannot look into {error.filename}: {error.strerror or error}"
            ) from None
        except RecursionError:
            raise EncoreError(f"dataset.path: {root} has folders in folders without end") from None
        labels = self._labels(paths, found)
        return [
            RawTrack(
                track_id=path,
                path=path,
                label=labels[path],
                group=self._group(path),
                source=self.name,
            )
            for path in paths
        ]

    def _labels(self, paths: Iterable[str], found: "_Found") -> dict[str, str]:
        names = {path: spelled(path) for path in paths}
        if self.params.labels is None:
            return {path: _folder_of(name) for path, name in names.items()}
        table = Path(self.params.labels)
        given = read_pairs(table, "path", "label", "dataset.labels")
        if unknown_paths := sorted(given.keys() - set(names.values())):
            found.unknown_paths = f"{table} names files that are not there: {some(unknown_paths)}"
        labels = {path: given.get(name, "") for path, name in names.items()}
        if labels and not any(labels.values()):
            raise EncoreError(
                f"dataset.labels: {table} labels none of the files; its paths should look like {min(labels)}"
            )
        return labels

    def _group(self, path: str) -> str:
        match = re.search(self.params.group_pattern, spelled(path)) if self.params.group_pattern else None
        return " / ".join(part for part in match.groupdict().values() if part) if match else ""


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


@dataclass
class _Found:
    """What was found beside the music, to be printed."""

    links_not_followed: list[str] = field(default_factory=list)  # links that are not followed
    others: Counter[str] = field(default_factory=Counter)  # files that are no music, by suffix
    unknown_paths: str = ""  # what the table of labels names and the folder lacks

    def report(self) -> None:
        if self.unknown_paths:
            print(f"fetch: {self.unknown_paths}")
        if self.links_not_followed:
            print(
                "fetch: left out links that lead outside the folder or to nothing, or that lie below another "
                f"link: {some(self.links_not_followed)}"
            )
        if self.others:
            kinds = ", ".join(f"{some([suffix])} {n}" for suffix, n in self.others.most_common(5))
            print(f"fetch: left out {self.others.total()} files without the suffix of music: {kinds}")


def _walk(
    folder: Path, root: Path, found: _Found, above: tuple[str, ...] = (), is_linked: bool = False
) -> Iterator[Path]:
    """Yield the music below `folder` in sorted order, without hidden files.

    Links are followed inside `root` only, and no link is followed below a link, since folders that are linked
    to one another would multiply.
    """
    here = os.path.realpath(folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        target = Path(os.path.realpath(path))
        if not (target.exists() and target.is_relative_to(root)):
            found.links_not_followed.append(str(path))
        elif target.is_dir():
            if path.is_symlink() and is_linked:
                found.links_not_followed.append(str(path))
            elif str(target) not in (*above, here):  # a link to a folder above would never end
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
