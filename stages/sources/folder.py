"""Any folder of music: one sub-folder per class."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Literal

from stages.errors import EncoreError
from stages.sources.params import SourceParams
from stages.tables import RawTrack

EXTENSIONS = {".wav", ".flac", ".ogg", ".mp3", ".au"}


class FolderParams(SourceParams):
    """Parameters of the folder source.

    Attributes
    ----------
    path : str
        Absolute path of the music.
    """

    name: Literal["folder"]
    path: str


class Folder:
    """Music below a folder: the first folder name is the class, files outside any are unlabelled."""

    name = "folder"
    licence = "unknown: yours to know"
    citation = "none"
    caveat = ""

    def __init__(self, params: FolderParams):
        self.params = params

    def fetch(self, into: Path) -> list[RawTrack]:
        """Copy the audio files; track_id is the path below the folder.

        Raises
        ------
        EncoreError
            If the folder is not absolute or not there, a class of `classes` is not in it, a file
            cannot be read, or the disk is full.
        """
        root = Path(self.params.path)
        if not root.is_absolute():
            raise EncoreError(
                f"dataset.path: {self.params.path!r} is relative; give the absolute path, "
                f"such as {Path.cwd() / root}"
            )
        if not root.is_dir():
            raise EncoreError(f"dataset.path: no folder {root}")
        from tqdm import tqdm

        files = self._choose(_audio_files(root), root)
        return [self._copy(path, root, into) for path in tqdm(files, "fetch", unit="track", disable=None)]

    def _choose(self, files: list[Path], root: Path) -> list[Path]:
        """Those of the wanted classes, with the unlabelled ones."""
        if self.params.classes is None:
            return files
        wanted = set(self.params.classes)
        there = {_label(path, root) for path in files} - {""}
        if missing := sorted(wanted - there):
            raise EncoreError(
                f"dataset.classes: no class {', '.join(missing)} in {root}; "
                f"there are: {', '.join(sorted(there))}"
            )
        return [path for path in files if _label(path, root) in wanted | {""}]

    def _copy(self, path: Path, root: Path, into: Path) -> RawTrack:
        relative = path.relative_to(root)
        copy = into / relative
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            with copy.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EncoreError(f"dataset.path: cannot copy {path}: {error.strerror}") from None
        return RawTrack(
            track_id=relative.as_posix(),
            path=relative.as_posix(),
            label=_label(path, root),
            group="",
            split="",
            sha256=sha256,
            bytes=copy.stat().st_size,
            source=self.name,
        )


def _audio_files(root: Path) -> list[Path]:
    """Audio files below `root` in sorted order; hidden ones, and links that leave `root`, are not ours."""
    inside = root.resolve()
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in EXTENSIONS:
                continue
            if path.resolve().is_relative_to(inside):
                _assert_nameable(path.relative_to(root).as_posix())
                found.append(path)
    return sorted(found)


def _assert_nameable(name: str) -> None:
    """Raise `EncoreError` on a name that no UTF-8 table can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise EncoreError(f"dataset.path: {name!r} is not named in UTF-8; rename it") from None
    if not name.isprintable():
        raise EncoreError(f"dataset.path: {name!r} has control characters in its name; rename it")


def _label(path: Path, root: Path) -> str:
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else ""
