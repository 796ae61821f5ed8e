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
        files = [path for path in _audio_files(root) if self._is_wanted(_label(path, root))]
        self._assert_classes_exist(root)
        from tqdm import tqdm

        return [self._copy(path, root, into) for path in tqdm(files, "fetch", unit="track", disable=None)]

    def _is_wanted(self, label: str) -> bool:
        return not label or self.params.classes is None or label in self.params.classes

    def _assert_classes_exist(self, root: Path) -> None:
        there = sorted({_label(path, root) for path in _audio_files(root)} - {""})
        missing = sorted(set(self.params.classes or ()) - set(there))
        if missing:
            raise EncoreError(
                f"dataset.classes: no class {', '.join(missing)} in {root}; there are: {', '.join(there)}"
            )

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
                found.append(path)
    return sorted(found)


def _label(path: Path, root: Path) -> str:
    parts = path.relative_to(root).parts
    return parts[0] if len(parts) > 1 else ""
