"""Many files, each answered in a process that may die or hang without ending the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from stages.core.errors import EncoreError
from stages.inference.prediction import OverTime, Prediction, Predictor
from stages.parallel.processes import Lost, isolated_map

TIMEOUT_S = 600.0
SLOWEST = 20_000  # bytes of a file that are answered in a second, at least


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

    prediction: Prediction | None = None
    over_time: OverTime | None = None
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
    largest = max((path.stat().st_size for path in paths if path.is_file()), default=0)
    for answer in isolated_map(work, paths, len(paths), "predict", TIMEOUT_S + largest / SLOWEST):
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
def _predictor(model: Path, encoder: Path | None) -> Predictor:
    import torch

    from stages.training.trained import TrainedModel

    trained = TrainedModel.load(model)
    torch.set_num_threads(1)  # there is a process for each core
    return Predictor(trained, encoder)
