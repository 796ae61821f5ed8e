"""How long a grid will take and how much of the disk, from what has been run before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from stages.experiments.cells import Cell
from stages.tracking.groups import Past

DVC_S = 5.0  # of each cell, besides its stages


@dataclass(frozen=True)
class Estimate:
    """What cells will take.

    Attributes
    ----------
    seconds : float or None
        Where one runs at a time; None: no run that resembles them has finished.
    bytes : int
        On the disk, in DVC's cache and in MLflow.
    """

    seconds: float | None
    bytes: int


def estimate(
    cells: Sequence[Cell], made: Sequence[Cell], past: Sequence[Past], sizes: Mapping[str, int]
) -> Estimate:
    """Estimate what cells will take.

    Parameters
    ----------
    cells, made : sequence of Cell
        Those to run, and those that have finished.
    past : sequence of Past
        Finished runs. One of the same model on the same dataset tells a cell's time, else one of any model;
        epochs count in proportion.
    sizes : mapping of str to int
        Size of the outputs of each stage in bytes, as dvc.lock has it.
    """
    seconds = [_seconds(cell, past) for cell in cells]
    there = {key for cell in made for key in cell.keys.values()}
    new = {(stage, key) for cell in cells for stage, key in cell.keys.items() if key not in there}
    artifacts = median([run.bytes for run in past]) if past else 0
    return Estimate(
        None if None in seconds else sum(one for one in seconds if one is not None),
        sum(sizes.get(stage, 0) for stage, _ in new) + round(artifacts) * len(cells),
    )


def _seconds(cell: Cell, past: Sequence[Past]) -> float | None:
    values: Mapping[str, dict[str, object]] = cell.values
    dataset, model = str(values["dataset"]["name"]), str(values["model"]["_target_"])
    epochs = float(str(values["train"]["epochs"]))
    alike = [run for run in past if run.dataset == dataset]
    same = [run for run in alike if run.model == model] or alike
    return DVC_S + median(run.seconds * epochs / run.epochs for run in same) if same else None
