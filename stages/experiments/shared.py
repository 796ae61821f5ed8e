"""Stages that several cells need: the first cell runs them, and the others start after it."""

from collections.abc import Iterable, Sequence

from stages.experiments.cells import Cell


class Shared:
    """The stages whose outputs are in DVC's cache.

    Parameters
    ----------
    finished : iterable of Cell
    """

    def __init__(self, finished: Iterable[Cell] = ()):
        self._made: set[str] = set()
        for cell in finished:
            self.add(cell)

    def add(self, cell: Cell) -> None:
        """Take note of a cell that has finished."""
        self._made.update(cell.keys.values())

    def may_start(self, cell: Cell, running: Sequence[Cell]) -> bool:
        """Whether none of those that run is about to make what a cell needs, too."""
        in_work = {key for other in running for key in other.keys.values()}
        return not (in_work - self._made) & set(cell.keys.values())
