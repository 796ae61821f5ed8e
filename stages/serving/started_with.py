"""What a server has read at its start: whether it is still there, since `dvc repro` may make it anew."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

GONE = ""  # in place of a digest


@dataclass
class _File:
    """A file as it was at the start, and as it was when it was last looked at."""

    path: Path
    sign: tuple[int, ...] = field(init=False)
    at_start: str = field(init=False)
    now: str = field(init=False)

    def __post_init__(self) -> None:
        self.sign = _sign(self.path)  # before the digest: a change between the two is seen next time
        self.at_start = self.now = _digest(self.path)

    def is_other(self) -> bool:
        sign = _sign(self.path)
        if sign != self.sign:
            self.sign, self.now = sign, _digest(self.path)
        return self.now != self.at_start


class StartedWith:
    """Files by their content; those that are not there may come.

    Parameters
    ----------
    paths : iterable of Path

    Attributes
    ----------
    key : str
        Of their content at the start.
    """

    def __init__(self, paths: Iterable[Path]):
        self._files = [_File(path) for path in paths]
        all_digests = " ".join(file.at_start for file in self._files)
        self.key = hashlib.sha256(all_digests.encode()).hexdigest()[:16]

    def changed(self) -> list[Path]:
        """Return the files that have another content now, that have come, or that are gone."""
        return [file.path for file in self._files if file.is_other()]


def _sign(path: Path) -> tuple[int, ...]:
    """Return what is another one if a file may have been written, or put in the place of another."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return GONE
