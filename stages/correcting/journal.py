"""The journal of a reviewer's verdicts: a CSV file that is only ever appended to."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.workspace import sync
from stages.correcting.verdict import (
    HEADER,
    Verdict,
    check_reviewer,
    checked,
    current,
    has_own_header,
    line_of,
    read_verdicts,
    without_torn_end,
)

FOLDER = Path("data/verdicts")
LONGEST_SHOWN = 80  # characters of a torn line that are shown


class Journal:
    """The verdicts of one reviewer.

    Any number of threads and processes may append at once: each row is whole, or not there.

    Parameters
    ----------
    path : Path
        ``data/verdicts/NAME.csv``; made with the first verdict, as is its folder.
    reviewer : str
        NAME: letters, digits, - and _.

    Raises
    ------
    EncoreError
        If the name is not allowed.
    """

    def __init__(self, path: Path, reviewer: str):
        check_reviewer(reviewer)
        self.path = path
        self.reviewer = reviewer

    @classmethod
    def of(cls, reviewer: str, folder: Path = FOLDER) -> "Journal":
        """Return the journal of a reviewer in a folder of journals."""
        check_reviewer(reviewer)
        return cls(folder / f"{reviewer}.csv", reviewer)

    def append(self, verdict: Verdict) -> str:
        """Append a verdict; when this returns, it is on the disk.

        Parameters
        ----------
        verdict : Verdict
            By the reviewer of this journal.

        Returns
        -------
        str
            What `mend` says; empty: nothing.

        Raises
        ------
        EncoreError
            If the verdict is not allowed, the file has other columns, or the disk is full or fails; the file
            is then as it was before.
        """
        verdict = checked(verdict)
        if verdict.reviewer != self.reviewer:
            raise EncoreError(f"{self.path}: is the journal of {self.reviewer}, not of {verdict.reviewer}")
        with self._opened(create=True) as file:
            content, note = self._mended(file)
            start = b"" if content else f"{HEADER}\n".encode()
            end_of_last = b"\n" if content and not content.endswith(b"\n") else b""
            self._write(file, start + end_of_last + line_of(verdict), len(content))
        return note

    def mend(self) -> str:
        """Cut off what a killed process or a power failure has left of a last line; return what it was.

        Returns
        -------
        str
            One line; empty: nothing was cut off.

        Raises
        ------
        EncoreError
            If verdicts cannot be appended to the file.
        """
        if not self.path.exists():
            return ""
        with self._opened(create=False) as file:
            return self._mended(file)[1]

    def rows(self) -> list[Verdict]:
        """Return all verdicts in their order; raises as `stages.correcting.verdict.read_verdicts` does."""
        return read_verdicts(self.path) if self.path.exists() else []

    def current(self, sha256: Mapping[str, str] | None = None) -> dict[str, Verdict]:
        """Return the last verdict about each track; see `stages.correcting.verdict.current`."""
        return current(self.rows(), sha256)

    @contextmanager
    def _opened(self, create: bool) -> Iterator[int]:
        """Open the file for one writer at a time; the kernel ends the lock with the process."""
        try:
            if create:
                self._make_folder()
            file = self._locked(os.O_CREAT if create else 0)
            try:
                yield file
            finally:
                os.close(file)
        except OSError as error:
            raise EncoreError(
                f"{self.path}: the verdict is not written: {error.strerror or error}; the file is as before"
            ) from None

    def _make_folder(self) -> None:
        folder = self.path.parent
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync(folder.parent)

    def _locked(self, flags: int) -> int:
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | flags, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self.path.exists() and os.path.samestat(os.fstat(file), self.path.stat()):
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # an editor has put another file in its place

    def _mended(self, file: int) -> tuple[bytes, str]:
        """Cut off a torn end; return what is in the file then, and what to say."""
        content = b""
        while block := os.pread(file, 1 << 20, len(content)):
            content += block
        whole, torn = without_torn_end(content, self.reviewer)
        if whole and not has_own_header(whole):
            raise EncoreError(
                f"{self.path}: its columns are not {HEADER}; move the file away, or add rows to it by hand"
            )
        last = whole[whole.rfind(b"\n") + 1 :]
        if b"\n" in whole and last and last.count(b",") < HEADER.count(","):
            raise EncoreError(
                f"{self.path}: its last line, {_shown(last)}, is no verdict and has no end; mend or delete it"
            )
        if not torn:
            return whole, ""
        os.ftruncate(file, len(whole))
        os.fsync(file)
        return whole, f"{self.path}: cut off a last line that was never finished: {_shown(torn)}"

    def _write(self, file: int, content: bytes, size: int) -> None:
        """Append in one call; where the disk refuses, the file is cut to its `size` before."""
        try:
            while content:  # what a full disk takes in part; the next call says why
                content = content[os.write(file, content) :]
            os.fsync(file)
            sync(self.path.parent)  # the file may be new, also where another process has made it
        except OSError:
            os.ftruncate(file, size)
            raise


def _shown(line: bytes) -> str:
    return repr(line.rstrip(b"\0").decode("utf-8", "replace")[:LONGEST_SHOWN])
