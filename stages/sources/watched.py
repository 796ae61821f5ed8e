"""Whether DVC can read the music that it watches; it ends in an error, or hangs, where it cannot."""

import errno
import os
import stat
from pathlib import Path

from stages.core.errors import EncoreError, some


def assert_readable(watched: Path) -> None:
    """Raise `EncoreError` if DVC cannot read a folder of the user's, or all that is in it.

    DVC reads every file below `watched`, hidden ones too, and follows links to files only.

    Parameters
    ----------
    watched : Path
        A file or a folder; where there is none, nothing is checked.
    """
    wrong = [] if watched.is_dir() or not os.access(watched, os.F_OK) else [_wrong_file(watched)]

    def unreadable(error: OSError) -> None:
        wrong.append(f"{error.filename} ({error.strerror})")

    for folder, folders, files in os.walk(watched, onerror=unreadable if watched.is_dir() else None):
        wrong += [_wrong_name(Path(folder, name)) for name in folders]
        wrong += [_wrong_file(Path(folder, name)) for name in files]
    found = sorted(filter(None, wrong))
    if found:
        raise EncoreError(
            f"DVC reads every file in {watched}, and cannot read {some(found)}; "
            "delete or mend what is named, or move it out of the folder"
        )


def _wrong_file(path: Path) -> str:
    """Return a path and why DVC cannot read the file there; empty: it can."""
    try:
        mode = path.stat().st_mode  # of what a link leads to
    except OSError as error:
        what = "a link to nothing" if error.errno == errno.ENOENT else str(error.strerror)
    else:
        if stat.S_ISREG(mode) and os.access(path, os.R_OK):
            return _wrong_name(path)
        what = "no permission to read it" if stat.S_ISREG(mode) else "a socket, pipe or device"
    return f"{path} ({what})"


def _wrong_name(path: Path) -> str:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return f"{path} (not named in UTF-8)"
    return ""
