"""Predictions of a trained model for any file, from the model's folder alone."""

import warnings
from pathlib import Path
from typing import NamedTuple

from stages.audio.decode import decode
from stages.core.errors import EncoreError
from stages.core.runtime import prepare_for_numba
from stages.features.catalogue import extract, rebuild
from stages.features.segments import cut
from stages.splitting.inputs import as_one_frame
from stages.storage.audio_file import at_full_scale
from stages.training.trained import TrainedModel

MAX_DURATION_S = 3600.0
SILENCE_DB = -80.0  # of full scale; what conf/quality drops, too


class Prediction(NamedTuple):
    """What a model says of a file: means over its segments, without gaps from the start.

    Attributes
    ----------
    probability : dict of str to float
        By class name.
    novelty : float
        See `TrainedModel.predict_with_novelty`.
    """

    probability: dict[str, float]
    novelty: float


class Predictor:
    """A trained model with the features that it takes, for one file after another.

    Parameters
    ----------
    trained : TrainedModel
    encoder : Path or None
        Where the file of the feature encoder is; None: where it was in the training.

    Raises
    ------
    EncoreError
        If a feature needs a file that is missing, or is another one now.
    """

    def __init__(self, trained: TrainedModel, encoder: Path | None = None):
        self._trained = trained
        about = trained.description.input
        given = {"sample_rate_hz": about.sample_rate_hz} | ({"path": str(encoder)} if encoder else {})
        self._features = {name: rebuild(name, {**made, **given}) for name, made in about.settings.items()}

    def predict(self, path: Path, name: str) -> Prediction:
        """Decode a file and predict it.

        Parameters
        ----------
        path : Path
            Music in any format that the decode stage reads; MIDI is rendered as it was for the training.
        name : str
            What errors and warnings call it.

        Raises
        ------
        EncoreError
            If the file cannot be read or decoded, has samples that are not finite, is silent, or is shorter
            than one segment.

        Warns
        -----
        UserWarning
            If something of the music in the file cannot be read.
        """
        about = self._trained.description
        rate_hz, length = about.input.sample_rate_hz, about.input.segment_length
        try:
            decoded = decode(path, rate_hz, MAX_DURATION_S, about.rendering)
        except OSError as error:
            raise EncoreError(f"{name}: cannot be read: {error.strerror or error}") from None
        if decoded.samples is None:
            raise EncoreError(f"{name} {decoded.info.reason}")
        if decoded.info.not_finite:  # decode replaces them with zeros
            raise EncoreError(f"{name} has samples that are infinite or not a number")
        if decoded.info.peak < 10 ** (SILENCE_DB / 20):
            raise EncoreError(f"{name} is silent: no sample is over {SILENCE_DB:g} dB of full scale")
        if decoded.info.cut_short:
            warnings.warn(f"{name} {decoded.info.cut_short}", stacklevel=3)
        samples = at_full_scale(decoded.samples)
        n_windows = decoded.info.n_windows
        starts = [start for start, _ in cut(len(samples), n_windows, length, tail=0.0, max_per_track=None)]
        if not starts:
            raise EncoreError(
                f"{name} lasts {len(samples) / n_windows / rate_hz:.3g} s, but the model takes segments of "
                f"{length / rate_hz:g} s"
            )
        values = extract(samples, starts, length, self._features)
        is_one = isinstance(about.input.feature, str)
        x = values[about.input.name] if is_one else as_one_frame(values.values())
        probability, novelty = self._trained.predict_with_novelty(x)
        means = probability.mean(axis=0).tolist()
        return Prediction(dict(zip(about.labels, means, strict=True)), float(novelty.mean()))


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
    prepare_for_numba()
    return Predictor(TrainedModel.load(model)).predict(path, str(path)).probability
