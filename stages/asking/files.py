"""The files that a command line names: each file as it is, and the music in each folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import EncoreError
from stages.entry import caller
from stages.sources.music_below import LeftOut, music_below


@dataclass(frozen=True)
class MusicFile:
    """A file to ask about.

    Attributes
    ----------
    path : Path
    name : str
        As the user would write it.
    below : str
        Its path below the folder that was named; empty: the file itself was.
    """

    path: Path
    name: str
    below: str = ""

    @property
    def genre_folder(self) -> str:
        """The first folder below the one that was named; empty: there is none."""
        folder, _, rest = self.below.partition("/")
        return folder if rest else ""


def music_files(words: Iterable[str]) -> tuple[list[MusicFile], list[str]]:
    """List the files that the words of a command line name.

    Parameters
    ----------
    words : iterable of str
        Files, whatever their suffix, and folders, whose music is listed, that of sub-folders included.

    Returns
    -------
    files : list of MusicFile
        In the order of the words, and sorted within a folder.
    left_out : list of str
        What was not listed, in lines.

    Raises
    ------
    EncoreError
        If something is not there or cannot be read, or a folder has no music.
    """
    files, left_out = [], LeftOut()
    for word in words:
        path = caller.given(word)
        if not path.exists():
            raise EncoreError(f"{word}: no such file or folder")
        if not path.is_dir():
            files.append(MusicFile(path, word))
            continue
        try:
            found = [
                MusicFile(file, str(Path(word, below)), below)
                for file in music_below(path, left_out)
                for below in [file.relative_to(path).as_posix()]
            ]
        except OSError as error:
            raise EncoreError(f"cannot look into {error.filename}: {error.strerror or error}") from None
        except RecursionError:
            raise EncoreError(f"{word} has folders in folders without end") from None
        if not found:
            raise EncoreError(f"{word}: no music in this folder, or in folders in it")
        files += found
    return files, left_out.lines()
