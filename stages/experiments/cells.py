"""The cells of a grid: experiments, all checked before one starts, whose names follow from their content."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from stages.core.errors import EncoreError
from stages.entry.experiment import composed
from stages.entry.registry import SECTIONS
from stages.experiments.git import listed
from stages.experiments.pipeline import Pipeline
from stages.tracking.names import parts

# Sections that change neither a result nor what MLflow says of it.
NOT_CONTENT = ("pictures", "runtime", "tracking")
DIGITS = 8  # of the content's hash in a name


@dataclass(frozen=True)
class Cell:
    """An experiment of a grid.

    Attributes
    ----------
    name : str
        Of the experiment in DVC, such as ``lstm-gtzan-fold2-seed1-3fa9c1d0``.
    words : tuple of str
        For ``dvc exp run -S``.
    values : mapping of str to dict
        The sections that they make.
    keys : mapping of str to str
        By stage: a hash of its parameters and those of all stages before it. Where two cells have the same,
        the stage runs once.
    target : str
        The stage that it ends with; empty: the last one.
    """

    name: str
    words: tuple[str, ...]
    values: Mapping[str, Any]
    keys: Mapping[str, str]
    target: str = ""

    @property
    def is_tracked(self) -> bool:
        """Whether its run is logged to MLflow."""
        return bool(self.values["runtime"]["tracking"] == "on")


class Maker:
    """Makes the cells of a project; a context manager.

    Parameters
    ----------
    project : Path
        The project's root, and the current folder.
    snapshot : str
        The commit whose code the cells run.
    copy : Path or None
        A copy of the project, whose conf/ nobody edits meanwhile; None: the project's own is used.
    """

    def __init__(self, project: Path, snapshot: str, copy: Path | None = None):
        self._source, self._pipeline = copy or project, Pipeline(project)
        self._code = listed(project, snapshot, self._pipeline.code)

    def __enter__(self) -> "Maker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipeline.close()

    @property
    def code(self) -> str:
        """A hash of the code that cells run."""
        return hashlib.sha256(self._code.encode()).hexdigest()[:DIGITS]

    @property
    def sizes(self) -> dict[str, int]:
        """Size of each stage's outputs in bytes, as dvc.lock has it."""
        return self._pipeline.sizes

    def make(self, words: Sequence[str], target: str = "") -> list[Cell]:
        """Compose and check cells.

        Parameters
        ----------
        words : sequence of str
            Such as ``model=mlp,cnn`` and ``train.seed=range(0,3)``.
        target : str
            See `Cell`.

        Returns
        -------
        list of Cell
            Those of the first word's first value first.

        Raises
        ------
        EncoreError
            If one of the experiments may not run, or two are the same.
        """
        made: dict[str, Cell] = {}
        for own, values in composed(words, self._source):
            name = self._name(values)
            if same := made.get(name):
                raise EncoreError(
                    f"{' '.join(own)} is the same experiment as {' '.join(same.words)}; leave one out"
                )
            made[name] = Cell(name, own, values, self._pipeline.keys(values), target)
        if not made:
            raise EncoreError(f"{' '.join(words)}: a word has no values, so there is no cell")
        return [*made.values()]

    def _name(self, values: Mapping[str, Any]) -> str:
        sections = {name: values[name] for name in SECTIONS if name not in NOT_CONTENT}
        content = json.dumps([sections, self._code, self._pipeline.watched(values)], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:DIGITS]
        return "-".join([part.replace(" ", "") for part in parts(values)] + [digest])
