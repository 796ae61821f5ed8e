"""The music in a folder and all folders in it, and what else was found there."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stages.audio.formats import is_music
from stages.core.errors import some
from stages.core.user_tables import spelled


@dataclass
class LeftOut:
    """What was found beside the music.

    Attributes
    ----------
    links : list of str
        Links that are not followed.
    others : Counter of str
        Files without the suffix of music, by suffix.
    notes : list of str
        What else there is to say, in lines.
    """

    links: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return what there is to say, in lines."""
        lines = [*self.notes]
        if self.links:
            lines.append(
                "left out links that lead outside the folder or to nothing, or that lie below another "
                f"link: {some(self.links)}"
            )
        if self.others:
            kinds = ", ".join(f"{some([suffix])} {n}" for suffix, n in self.others.most_common(5))
            lines.append(f"left out {self.others.total()} files without the suffix of music: {kinds}")
        return lines


def music_below(root: Path, left_out: LeftOut) -> Iterator[Path]:
    """Yield the music in `root` and all folders in it in sorted order, without hidden files.

    Links are followed inside `root` only, and no link is followed below a link, since folders that are linked
    to one another would multiply.

    Raises
    ------
    OSError
        If a folder cannot be read.
    RecursionError
        If folders are in folders without end.
    """
    yield from _walk(root, root.resolve(), left_out, (), is_linked=False)


def group_of(path: str, pattern: str | None) -> str:
    """Return what the named groups of a pattern match in a path below the folder; empty: nothing."""
    match = re.search(pattern, spelled(path)) if pattern else None
    return " / ".join(part for part in match.groupdict().values() if part) if match else ""


def _walk(
    folder: Path, root: Path, left_out: LeftOut, above: tuple[str, ...], is_linked: bool
) -> Iterator[Path]:
    here = os.path.realpath(folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        target = Path(os.path.realpath(path))
        if not (target.exists() and target.is_relative_to(root)):
            left_out.links.append(str(path))
        elif target.is_dir():
            if path.is_symlink() and is_linked:
                left_out.links.append(str(path))
            elif str(target) not in (*above, here):  # a link to a folder above would never end
                yield from _walk(path, root, left_out, (*above, here), is_linked or path.is_symlink())
        elif is_music(path) and target.is_file():
            yield path
        else:
            left_out.others[path.suffix.lower() or "no suffix"] += 1
