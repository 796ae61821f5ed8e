"""What goes wrong with the disk while music is fetched, in one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import EncoreError


@contextmanager
def disk_errors_in_one_line(place: Path, needs: str) -> Iterator[None]:
    """Turn an error of the file system into an `EncoreError`.

    Parameters
    ----------
    place : Path
        What is being written, for an error that names no file.
    needs : str
        What a full disk has no room for, such as "no room left in /data".
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(needs) from None
        raise EncoreError(f"{error.filename or place}: {error.strerror or error}") from None


def disk_full(needs: str) -> EncoreError:
    """Return the error of a full disk, with what there is no room for."""
    return EncoreError(f"disk full: {needs}; make room and run again, what is downloaded is kept")
