"""What is kept of a grid on the disk: ``.dvc/tmp/grids/NAME``, with the logs of its cells."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.workspace import replaced
from stages.experiments import processes
from stages.experiments.slot import Slot

SLOTS = "slots"
GRIDS = Path(".dvc/tmp/grids")  # git and DVC leave it alone; each project has its own


@dataclass
class Record:
    """A grid or a search.

    Attributes
    ----------
    folder : Path
    words : list of str
        Such as ``model=mlp,cnn``.
    options : dict of str to str
        Of a search; a grid has none.
    cells : list of str
        Names of the cells that it has had so far.
    """

    folder: Path
    words: list[str]
    options: dict[str, str] = field(default_factory=dict)
    cells: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, project: Path, name: str) -> "Record":
        """Read a grid.

        Raises
        ------
        EncoreError
            If there is none of that name.
        """
        folder = project / GRIDS / name
        try:
            return cls(folder, **json.loads((folder / "grid.json").read_bytes()))
        except (OSError, ValueError):
            there = ", ".join(known.name for known in cls.all(project)) or "none"
            raise EncoreError(f"{name}: no grid of that name; there is {there}") from None

    @classmethod
    def all(cls, project: Path) -> list["Record"]:
        """Return the grids of a project by name."""
        names = sorted(path.parent.name for path in (project / GRIDS).glob("*/grid.json"))
        return [cls.load(project, name) for name in names]

    @classmethod
    def named(cls, project: Path, name: str, words: Sequence[str], options: Mapping[str, str]) -> "Record":
        """Return the grid of a name, which may be a new one.

        Raises
        ------
        EncoreError
            If there is one with other words or options.
        """
        new = cls(project / GRIDS / name, [*words], {**options})
        if not (new.folder / "grid.json").exists():
            return new
        known = cls.load(project, name)
        if (known.words, known.options) != (new.words, new.options):
            own = " ".join([*known.words, *(f"--{key} {value}" for key, value in known.options.items())])
            raise EncoreError(f"{name} has other words: {own}; give another name, or delete that one")
        return known

    @property
    def name(self) -> str:
        """Name of the grid."""
        return self.folder.name

    def save(self) -> None:
        """Write it to the disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replaced(self.folder / "grid.json") as path:
            content = {"words": self.words, "options": self.options, "cells": self.cells}
            path.write_text(json.dumps(content), "utf-8")

    def failures(self) -> dict[str, str]:
        """Return why cells failed when they last ran, by name."""
        failed = sorted(self.folder.glob("*.failed"))
        return {path.stem: path.read_text("utf-8") for path in failed if path.stem in self.cells}

    def slots(self, n: int, project: Path, snapshot: str) -> list[Slot]:
        """Return the places in which `n` of its cells can run at a time."""
        return [Slot(project, self.folder / SLOTS / str(number), snapshot) for number in range(n)]

    def end_left(self) -> None:
        """End what was left behind when this grid was killed, and say so."""
        if n_processes := processes.end(self.folder):
            print(f"{self.name}: ended {n_processes} processes that were left")
        shutil.rmtree(self.folder / SLOTS, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the grid, so that no other process runs or deletes it.

        Raises
        ------
        EncoreError
            If one does.
        """
        from filelock import FileLock, Timeout

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "lock", timeout=0):
                yield
        except Timeout:
            raise EncoreError(f"{self.name}: another process has this grid; end that one first") from None
