"""What is kept of a grid on the disk: ``.dvc/tmp/grids/NAME``, with the logs of its cells."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.workspace import flush, replaced
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
    cells : list of str
        Names of its cells.
    former : list of str
        Names of the cells that it had before the code or the music changed.
    trials : int
        Of a search; 0: it is a grid.
    rungs : str
        Of a search, such as 3,10,30.
    """

    folder: Path
    words: list[str]
    cells: list[str] = field(default_factory=list)
    former: list[str] = field(default_factory=list)
    trials: int = 0
    rungs: str = ""

    @classmethod
    def load(cls, project: Path, name: str) -> "Record":
        """Read a grid.

        Raises
        ------
        EncoreError
            If there is none of that name.
        """
        if record := cls._read(project / GRIDS / name):
            return record
        there = ", ".join(known.name for known in cls.all(project)) or "none"
        raise EncoreError(f"{name}: no grid of that name; there is {there}")

    @classmethod
    def all(cls, project: Path) -> list["Record"]:
        """Return the grids of a project by name."""
        read = (cls._read(folder) for folder in sorted((project / GRIDS).glob("*")))
        return [record for record in read if record]

    @classmethod
    def _read(cls, folder: Path) -> "Record | None":
        try:
            return cls(folder, **json.loads((folder / "grid.json").read_bytes()))
        except (OSError, ValueError, TypeError):  # it is not there, or not whole after a power failure
            return None

    @classmethod
    def named(cls, project: Path, name: str, words: Sequence[str], rungs: str = "") -> "Record":
        """Return the grid or search of a name, which may be a new one.

        Raises
        ------
        EncoreError
            If there is one with other words or rungs.
        """
        known = cls._read(project / GRIDS / name)
        if not known:
            return cls(project / GRIDS / name, [*words], rungs=rungs)
        if (known.words, known.rungs) != ([*words], rungs):
            own = " ".join([*known.words, *([f"--rungs {known.rungs}"] if known.rungs else [])])
            raise EncoreError(f"{name} has other words: {own}; give another name, or delete that one")
        return known

    @property
    def all_cells(self) -> list[str]:
        """Names of the cells that it has and had."""
        return [*self.cells, *self.former]

    def have(self, cells: Sequence[str]) -> None:
        """Take note of the names of its cells, and write it to the disk."""
        self.former = [name for name in self.all_cells if name not in cells]
        self.cells = [*cells]
        self.folder.mkdir(parents=True, exist_ok=True)
        content = asdict(self)
        del content["folder"]
        with replaced(self.folder / "grid.json") as path:
            path.write_text(json.dumps(content), "utf-8")
            flush(path)

    @property
    def name(self) -> str:
        """Name of the grid."""
        return self.folder.name

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
                try:
                    yield
                finally:
                    if not (self.folder / "grid.json").exists():  # its words were wrong, or it is deleted
                        shutil.rmtree(self.folder, ignore_errors=True)
        except Timeout:
            raise EncoreError(f"{self.name}: another process has this grid; end that one first") from None
