"""Let DVC link outputs to its cache where the disk can; otherwise each of them takes its place twice.

`make repro` runs it once, and writes cache.type to .dvc/config.local. What is there already stays.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from stages.core.workspace import root
from stages.entry.command import run_command

FICLONE = 0x40049409  # of linux/fs.h: one file's blocks for another, until one of them changes


def main() -> None:
    """Try which links there can be between DVC's cache and the outputs, and tell DVC."""
    from dvc.repo import Repo

    with Repo(str(root())) as repo:
        types = link_types(Path(repo.cache.local.path), root() / "data")
        with repo.config.edit("local") as config:
            config.setdefault("cache", {}).setdefault("type", types)
    print(f"DVC's cache and the outputs share their place on the disk by {types[0]} (.dvc/config.local)")


def link_types(cache: Path, outputs: Path) -> list[str]:
    """Return what DVC should try, in its words; only what works from one folder to the other is named.

    DVC's own trial takes a plain copy for a reflink on some file systems.
    """
    cache.mkdir(parents=True, exist_ok=True)
    original, link = cache / f".probe-{os.getpid()}", outputs / f".probe-{os.getpid()}"
    original.write_bytes(b"probe")
    try:
        for name, make in (("reflink", _reflink), ("hardlink", os.link)):
            if _works(make, original, link):
                return [name, "copy"]
    finally:
        original.unlink()
    return ["copy"]


def _works(make: Callable[[Path, Path], None], original: Path, link: Path) -> bool:
    try:
        make(original, link)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    finally:
        with suppress(FileNotFoundError):
            link.unlink()
    return True


def _reflink(original: Path, link: Path) -> None:
    with original.open("rb") as source, link.open("wb") as target:
        fcntl.ioctl(target.fileno(), FICLONE, source.fileno())


if __name__ == "__main__":
    run_command(main)
