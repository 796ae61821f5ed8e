"""Predictions of a trained model for any file, from the model's folder alone."""

import warnings
from pathlib import Path

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
        If the file cannot be read or decoded, has samples that are not finite, is silent, or is shorter than
        one segment; or if the model is missing or has an old model.json.

    Warns
    -----
    UserWarning
        If something of the music in the file cannot be read.
    """
    prepare_for_numba()
    trained = TrainedModel.load(model)
    about = trained.description
    rate_hz, length = about.input.sample_rate_hz, about.input.segment_length
    try:
        decoded = decode(path, rate_hz, MAX_DURATION_S, about.rendering)
    except OSError as error:
        raise EncoreError(f"{path}: cannot be read: {error.strerror or error}") from None
    if decoded.samples is None:
        raise EncoreError(f"{path} {decoded.info.reason}")
    if decoded.info.not_finite:  # decode replaces them with zeros
        raise EncoreError(f"{path} has samples that are infinite or not a number")
    if decoded.info.peak < 10 ** (SILENCE_DB / 20):
        raise EncoreError(f"{path} is silent: no sample is over {SILENCE_DB:g} dB of full scale")
    if decoded.info.cut_short:
        warnings.warn(f"{path} {decoded.info.cut_short}", stacklevel=2)
    samples = at_full_scale(decoded.samples)
    n_windows = decoded.info.n_windows
    starts = [start for start, _ in cut(len(samples), n_windows, length, tail=0.0, max_per_track=None)]
    if not starts:
        raise EncoreError(
            f"{path} lasts {len(samples) / n_windows / rate_hz:.3g} s, but the model takes segments of "
            f"{length / rate_hz:g} s"
        )
    features = {
        name: rebuild(name, {**settings, "sample_rate_hz": rate_hz})
        for name, settings in about.input.settings.items()
    }
    values = extract(samples, starts, length, features)
    is_one = isinstance(about.input.feature, str)
    probability = trained.predict(values[about.input.name] if is_one else as_one_frame(values.values()))
    return dict(zip(about.labels, probability.mean(axis=0).tolist(), strict=True))
