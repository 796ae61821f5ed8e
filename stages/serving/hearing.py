"""What the processes of the server compute: a file is decoded there, where it can do no harm."""

import base64
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from stages.audio.formats import is_midi
from stages.core.errors import EncoreError
from stages.inference.loaded import loaded

if TYPE_CHECKING:
    from stages.inference.embedding import Method
    from stages.inference.prediction import OverTime, Predictor
    from stages.inference.similar import Similar

# before a first question
LOADED = (
    __name__,
    "stages.inference.prediction",
    "stages.inference.similar",
    "stages.training.trained",
)
MOST_S = 3600.0  # of music in a file
MEL_DB = 80.0  # below the loudest, which are drawn


def predict(path: Path, model: Path, encoder: Path | None, over_time: bool) -> dict[str, Any]:
    """Ask a model about a file.

    Parameters
    ----------
    path : Path
    model : Path
        Folder of model.json and the weights.
    encoder : Path or None
        See `stages.inference.listening.Inputs`.
    over_time : bool
        Whether each second is predicted, too.

    Returns
    -------
    dict
        ``prediction`` (`Prediction`), and ``over_time`` (what `document` returns) or ``over_time_problem``,
        if asked for.

    Raises
    ------
    EncoreError
        If the file cannot be used, as a predicate.
    """
    predictor = _predictor(model, encoder)
    if not over_time:
        return {"prediction": predictor.predict(path, "it")}
    labels = loaded(model).description.labels
    try:
        prediction, by_second = predictor.predict_over_time(path, "it")
    except EncoreError as error:
        if not is_midi(path):
            raise
        try:  # MIDI in several windows has an answer, but no common time
            prediction = predictor.predict(path, "it")
        except EncoreError:
            raise error from None
        return {"prediction": prediction, "over_time_problem": str(error)}
    return {"prediction": prediction, "over_time": document(by_second, labels)}


def most_like(
    path: Path,
    model: Path,
    encoder: Path | None,
    index: Path,
    k: int,
    same_genre: bool,
    other_artists: bool,
) -> "tuple[list[Similar], int]":
    """Find the tracks of an index that are most like a file; nothing of the file is kept.

    Parameters
    ----------
    path, model, encoder
        As in `predict`.
    index : Path
        See `stages.inference.track_index.Index`; by the last layer of this model.
    k, same_genre, other_artists
        See `stages.inference.similar.similar`.

    Returns
    -------
    list of Similar
    int
        How many tracks the index has.

    Raises
    ------
    EncoreError
        If the file or the index cannot be used, as a predicate; or its artist is not known.
    """
    from stages.inference.embedding import embed
    from stages.inference.similar import UnknownError, similar
    from stages.inference.track_index import Index

    heard = embed(path, "it", _method(model, encoder), MOST_S)
    with closing(Index(index)) as opened:
        try:
            return similar(opened, {path: heard}, k, same_genre, other_artists), opened.n_tracks
        except UnknownError:  # a model always has a genre
            raise EncoreError(
                "its artist is not known: it is no track of the dataset, or the dataset says none; leave out "
                "other_artists"
            ) from None


def warm_up(model: Path, encoder: Path | None) -> None:
    """Load a model and have it hear a tone: a first question takes two seconds more than all others."""
    predictor, about = _predictor(model, encoder), loaded(model).description.input
    tone = 0.1 * np.sin(np.arange(2 * about.segment_length))
    with NamedTemporaryFile() as file, suppress(EncoreError):
        soundfile.write(file, tone, about.sample_rate_hz, format="WAV")
        file.flush()
        predictor.predict_over_time(Path(file.name), "it")


def document(found: "OverTime", labels: Sequence[str]) -> dict[str, Any]:
    """Return what a page draws of a file: plain values; the mel spectrum as bytes in Base64.

    Of the mel spectrum, 255 is the loudest, and 0 is `MEL_DB` below it or less.
    """
    top = float(found.mel.max(initial=-np.inf)) if found.mel.size else 0.0
    grey = np.clip((found.mel - (top - MEL_DB)) / MEL_DB * 255, 0, 255).round().astype(np.uint8)
    return {
        "labels": [*labels],
        "probability": _rounded(found.probability, 4),
        "novelty": _rounded(found.novelty, 4),
        "picture": {
            "column_s": found.column_s,
            "low": _rounded(found.low, 4),
            "high": _rounded(found.high, 4),
            "mel": base64.b64encode(grey.tobytes()).decode("ascii"),
            "n_mels": grey.shape[0],
            "n_columns": grey.shape[1],
            "mel_db": [round(top - MEL_DB, 2), round(top, 2)],
            "mel_hz": _rounded(found.mel_hz, 1),
        },
    }


def _rounded(values: NDArray[Any], digits: int) -> list[Any]:
    rounded: list[Any] = np.round(values.astype(np.float64), digits).tolist()
    return rounded


@cache
def _method(model: Path, encoder: Path | None) -> "Method":
    from stages.inference.embedding import Method

    return Method.of_model(model, encoder)


@cache
def _predictor(model: Path, encoder: Path | None) -> "Predictor":
    from stages.inference.prediction import Predictor

    return Predictor(loaded(model), encoder, MOST_S)
