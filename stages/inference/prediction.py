"""Predictions of a trained model for any file, from the model's folder alone."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.audio.decode import AudioInfo
from stages.audio.waveform import Sink
from stages.core.errors import EncoreError
from stages.core.runtime import prepare_for_numba
from stages.inference.listening import Inputs, Segments, Several, listen
from stages.inference.overview import Overview

if TYPE_CHECKING:
    from stages.training.trained import TrainedModel

Answers = tuple[NDArray[np.float64], NDArray[np.float64]]  # of TrainedModel.predict_with_novelty


class Prediction(NamedTuple):
    """What a model says of a file: means over its segments, without gaps from the start.

    Attributes
    ----------
    probability : dict of str to float
        By class name.
    novelty : float
        See `TrainedModel.predict_with_novelty`.
    duration_s : float
        Of the file, as far as it can be read.
    note : str
        What of the music in the file cannot be read, as a predicate; empty: nothing.
    """

    probability: dict[str, float]
    novelty: float
    duration_s: float
    note: str


class OverTime(NamedTuple):
    """What a model says of each second of a file, and what there is to see of it.

    Attributes
    ----------
    probability : ndarray of float64 (n_seconds, n_classes)
        Of the segment about each second; those nearest to both ends stand for the rest.
    novelty : ndarray of float64 (n_seconds,)
    low, high, mel, mel_hz, column_s
        See `Overview.summary`.
    """

    probability: NDArray[np.float64]
    novelty: NDArray[np.float64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mel: NDArray[np.float32]
    mel_hz: NDArray[np.float64]
    column_s: float


class Predictor:
    """A trained model with the features that it takes, for one file after another.

    Parameters
    ----------
    trained : TrainedModel
    encoder : Path or None
        See `Inputs`.
    max_duration_s : float
        See `listen`.

    Raises
    ------
    EncoreError
        See `Inputs`.
    """

    def __init__(
        self, trained: "TrainedModel", encoder: Path | None = None, max_duration_s: float = float("inf")
    ):
        self._trained, self._about = trained, trained.description
        self._max_duration_s = max_duration_s
        self._inputs = Inputs(trained.description.input, encoder)

    def predict(self, path: Path, name: str) -> Prediction:
        """Decode a file and predict it.

        Parameters
        ----------
        path : Path
            Music in any format that the decode stage reads; MIDI is rendered as it was for the training.
        name : str
            What errors call it.

        Raises
        ------
        EncoreError
            If the file is shorter than one segment, or for a reason that `listen` names.
        """
        rate_hz, render = self._about.input.sample_rate_hz, self._about.rendering
        info, heard = listen(path, name, self._segments(), rate_hz, render, self._max_duration_s)
        return self._summed_up(name, info, heard)

    def predict_over_time(self, path: Path, name: str) -> "tuple[Prediction, OverTime]":
        """Decode a file, and predict it as a whole and at each second.

        Parameters and errors are those of `predict`.

        Raises
        ------
        EncoreError
            Also if the file is MIDI that is played in several windows.
        """
        rate_hz, length = self._about.input.sample_rate_hz, self._about.input.segment_length
        sinks = Several(self._segments(), Segments(length, rate_hz, self._answers), Overview(rate_hz))
        info, heard = listen(path, name, sinks, rate_hz, self._about.rendering, self._max_duration_s)
        assert isinstance(heard, Several)
        whole, by_second, overview = heard.sinks
        assert isinstance(by_second, Segments)
        assert isinstance(overview, Overview)
        prediction = self._summed_up(name, info, whole)
        if info.n_windows > 1:
            raise EncoreError(
                f"{name} is played in {info.n_windows} windows, as for the training: they have no common time"
            )
        probability, novelty = map(np.concatenate, zip(*by_second.parts, strict=True))
        # the segment whose middle is nearest to that of the second
        seconds = np.arange(-(-by_second.longest // rate_hz))
        nearest = np.floor(seconds + 1 - length / rate_hz / 2).astype(int).clip(0, len(novelty) - 1)
        return prediction, OverTime(probability[nearest], novelty[nearest], *overview.summary())

    def _segments(self) -> Segments:
        length = self._about.input.segment_length
        return Segments(length, length, self._answers)

    def _summed_up(self, name: str, info: AudioInfo, heard: Sink) -> Prediction:
        assert isinstance(heard, Segments)
        parts = heard.heard(name, self._about.input.sample_rate_hz)
        probability, novelty = map(np.concatenate, zip(*parts, strict=True))
        means = dict(zip(self._about.labels, probability.mean(axis=0).tolist(), strict=True))
        return Prediction(means, float(novelty.mean()), info.duration_s, info.cut_short)

    def _answers(self, samples: NDArray[np.float32], starts: Sequence[int]) -> Answers:
        return self._trained.predict_with_novelty(self._inputs.of(samples, starts))


def predict(path: Path, model: Path = Path("data/model")) -> dict[str, float]:
    """Return the class probabilities of a file: the mean over its segments, without gaps from the start.

    Parameters
    ----------
    path : Path
        Music in any format that the decode stage reads; MIDI is rendered as it was for the training.
    model : Path
        Output folder of the train stage.

    Returns
    -------
    dict of str to float
        By class name.

    Raises
    ------
    EncoreError
        As `Predictor.predict` does; or if the model is missing or has an old model.json.

    Warns
    -----
    UserWarning
        If something of the music in the file cannot be read.
    """
    from stages.training.trained import TrainedModel

    prepare_for_numba()
    found = Predictor(TrainedModel.load(model)).predict(path, str(path))
    if found.note:
        warnings.warn(f"{path} {found.note}", stacklevel=2)
    return found.probability
