"""A trained model that takes audio itself, for MLflow: the content of files in, genre and novelty out.

It is loaded on machines that have neither the project nor its params.yaml, from its folder alone.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from stages.core.errors import EncoreError
from stages.inference.origin import ENCODER, METRICS, threshold
from stages.inference.prediction import Predictor
from stages.training.trained import TrainedModel

if TYPE_CHECKING:
    from pandas import DataFrame

AUDIO = "audio"
GENRE, NOVELTY, IS_NEW = "genre", "novelty", "is_new"


def columns(labels: Sequence[str]) -> dict[str, str]:
    """Return the columns of the answer, each with its type in MLflow.

    Raises
    ------
    EncoreError
        If a class has the name of another column.
    """
    own = {GENRE: "string", NOVELTY: "double", IS_NEW: "boolean"}
    if taken := sorted(own.keys() & set(labels)):
        raise EncoreError(
            f"the class {taken[0]!r} has the name of a column of the registered model's answer; rename it"
        )
    return own | dict.fromkeys(labels, "double")


class AudioModel:
    """What MLflow calls with a table of audio files.

    Parameters
    ----------
    folder : Path
        The files of `TrainedModel.save`, metrics.json of its evaluation and, if the model takes the feature
        encoder, the file of that.

    Raises
    ------
    EncoreError
        If a file is missing or damaged.
    """

    def __init__(self, folder: Path):
        encoder = folder / ENCODER
        trained = TrainedModel.load(folder)
        self._predictor = Predictor(trained, encoder if encoder.exists() else None)
        self._columns = columns(trained.description.labels)
        self._limit = threshold(folder / METRICS)

    def predict(self, table: "DataFrame", params: Any = None) -> "DataFrame":
        """Return a row for each file.

        `params` is part of MLflow's calling convention, and unused.

        Parameters
        ----------
        table : DataFrame
            With a column `audio` of bytes: the content of a file in any format that the decode stage reads.

        Returns
        -------
        DataFrame
            genre (str): the most probable class; novelty (float64): see `TrainedModel.predict_with_novelty`,
            the mean over segments; is_new (bool): whether that is over the threshold of the evaluation; and
            the probability of each class (float64).

        Raises
        ------
        MlflowException
            In one line, if a file cannot be used; MLflow's server answers with it.
        """
        from mlflow.exceptions import MlflowException
        from pandas import DataFrame

        try:
            rows = [self._row(content, f"row {number}") for number, content in enumerate(table[AUDIO])]
        except EncoreError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        return DataFrame(rows, columns=[*self._columns])

    def _row(self, content: Any, name: str) -> dict[str, Any]:
        if not isinstance(content, bytes):
            raise EncoreError(f"{name} is {type(content).__name__}, should be the content of an audio file")
        with NamedTemporaryFile() as file:  # its type is found from its content
            file.write(content)
            file.flush()
            try:
                found = self._predictor.predict(Path(file.name), name)
            except ModuleNotFoundError as missing:
                raise EncoreError(
                    f"{name} takes the package {missing.name}, which is missing here; "
                    f"`pip install --no-deps {missing.name}` adds it"
                ) from None
        genre = max(found.probability, key=lambda label: found.probability[label])
        about = {GENRE: genre, NOVELTY: found.novelty, IS_NEW: found.novelty > self._limit}
        return about | found.probability


def _load_pyfunc(path: str) -> AudioModel:
    """Load a model for MLflow, whose models name this module as their loader."""
    return AudioModel(Path(path))
