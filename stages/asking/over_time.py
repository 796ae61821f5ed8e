"""Genre over time: a CSV and a picture for each file."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.asking.answers import Row, csv_line, exceeds, probability_columns
from stages.asking.files import MusicFile
from stages.core.errors import EncoreError, some
from stages.core.workspace import replaced
from stages.entry import caller

if TYPE_CHECKING:
    from stages.inference.prediction import OverTime

HEAD = ("second", "genre", "probability", "novelty", "is_new")


class Pages:
    """Writes ``NAME.csv`` and ``NAME.png`` for each file, in sub-folders where the music is in some.

    Parameters
    ----------
    files : sequence of MusicFile
    to : str
        The folder that they go to.
    labels : sequence of str
    threshold : float or None
        The novelty up to which music counts as known.

    Raises
    ------
    EncoreError
        If two files would get the same name, or `to` is no folder.
    """

    def __init__(self, files: Sequence[MusicFile], to: str, labels: Sequence[str], threshold: float | None):
        self._folder = caller.given(to)
        if self._folder.exists() and not self._folder.is_dir():
            raise EncoreError(f"--to {to}: not a folder")
        n = Counter(map(_page, files))
        if twice := [str(page) for page, times in n.items() if times > 1]:
            raise EncoreError(f"several files are named {some(twice)}; ask about them one after the other")
        self._labels, self._threshold = labels, threshold
        self._written: list[Path] = []

    def lines(self) -> list[str]:
        """Return which files were written."""
        return [f"over time: {some([str(path) for path in self._written])}"] if self._written else []

    def save(self, row: Row, over_time: "OverTime") -> None:
        """Write both files for an answer; the CSV has a row for each second."""
        from stages.plots.figures import save
        from stages.plots.over_time import over_time as draw

        path = self._folder / _page(row.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [csv_line([*HEAD, *probability_columns(self._labels)])]
        for second, (probability, novelty) in enumerate(
            zip(over_time.probability.tolist(), over_time.novelty.tolist(), strict=True)
        ):
            best = max(range(len(probability)), key=probability.__getitem__)
            about = (
                second,
                self._labels[best],
                probability[best],
                novelty,
                exceeds(novelty, self._threshold),
            )
            lines.append(csv_line([*about, *probability]))
        with replaced(path.with_name(f"{path.name}.csv")) as unfinished:
            unfinished.write_text("\n".join(lines) + "\n", "utf-8")
        figure = draw(over_time, self._labels, row.file.name)
        with replaced(path.with_name(f"{path.name}.png")) as unfinished:
            save(figure, unfinished)
        self._written += [path.with_name(f"{path.name}{suffix}") for suffix in (".csv", ".png")]


def _page(file: MusicFile) -> Path:
    return Path(file.below or file.path.name)
