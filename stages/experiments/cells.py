"""The cells of a grid: experiments, all checked before one starts, whose names follow from their content."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
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


def make_cells(words: Sequence[str], project: Path, snapshot: str) -> list[Cell]:
    """Compose and check the cells of a grid.

    Parameters
    ----------
    words : sequence of str
        Such as ``model=mlp,cnn`` and ``train.seed=range(0,3)``.
    project : Path
        The project's root, and the current folder.
    snapshot : str
        The commit whose code the cells run.

    Returns
    -------
    list of Cell
        Those of the first word's first value first.

    Raises
    ------
    EncoreError
        If one of the experiments may not run, or two are the same.
    """
    with Pipeline(project) as pipeline:
        code = listed(project, snapshot, pipeline.code)
        cells = [
            Cell(_name(values, code, pipeline), tuple(own), values, pipeline.keys(values))
            for own, values in composed(words, project)
        ]
    first: dict[str, Cell] = {}
    for cell in cells:
        if same := first.get(cell.name):
            raise EncoreError(
                f"{' '.join(cell.words)} is the same experiment as {' '.join(same.words)}; leave one out"
            )
        first[cell.name] = cell
    return cells


def _name(values: Mapping[str, Any], code: str, pipeline: Pipeline) -> str:
    sections = {name: values[name] for name in SECTIONS if name not in NOT_CONTENT}
    content = json.dumps([sections, code, pipeline.watched(values)], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:DIGITS]
    return "-".join([part.replace(" ", "") for part in parts(values)] + [digest])
