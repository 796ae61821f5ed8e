"""Many files, each answered in a process that may die or hang without ending the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import EncoreError
from stages.inference.listening import patience_s
from stages.inference.loaded import loaded
from stages.parallel.processes import Lost, isolated_map, prepare

if TYPE_CHECKING:
    from stages.inference.prediction import OverTime, Prediction, Predictor

WORKERS_LOAD = (
    __name__,
    "stages.inference.prediction",
    "stages.training.trained",
)  # torch, which takes a second


@dataclass(frozen=True)
class Answer:
    """What a model says of a file.

    Attributes
    ----------
    prediction : Prediction or None
    over_time : OverTime or None
    problem : str
        Why there is no prediction, as a predicate; empty: there is one.
    """

    prediction: "Prediction | None" = None
    over_time: "OverTime | None" = None
    problem: str = ""


def answers(paths: Sequence[Path], model: Path, encoder: Path | None, over_time: bool) -> Iterator[Answer]:
    """Yield the answer for each file, in their order, with a progress bar.

    Parameters
    ----------
    paths : sequence of Path
    model : Path
        Folder of model.json and the weights.
    encoder : Path or None
        See `stages.inference.listening.Inputs`.
    over_time : bool
        Whether each second is predicted, too.

    Raises
    ------
    EncoreError
        If the model cannot be loaded, or something outside keeps killing the processes.
    """
    work = partial(_answer, model=model, encoder=encoder, over_time=over_time)
    prepare(WORKERS_LOAD)
    for answer in isolated_map(work, paths, len(paths), "predict", patience_s(paths)):
        yield Answer(problem=answer.reason) if isinstance(answer, Lost) else answer


def _answer(path: Path, model: Path, encoder: Path | None, over_time: bool) -> Answer:
    predictor = _predictor(model, encoder)
    try:
        if over_time:
            return Answer(*predictor.predict_over_time(path, ""))
        return Answer(predictor.predict(path, ""))
    except EncoreError as error:
        return Answer(problem=str(error).strip(": "))


@cache
def _predictor(model: Path, encoder: Path | None) -> "Predictor":
    from stages.inference.prediction import Predictor

    return Predictor(loaded(model), encoder)
