"""What a trained model says of a file, wherever that is: all but the file comes from the model's folder."""

from pathlib import Path

from stages.audio.decode import decode
from stages.core.errors import EncoreError
from stages.features.catalogue import extract, rebuild
from stages.storage.hdf5 import at_full_scale
from stages.training.trained import TrainedModel

MAX_DURATION_S = 3600.0


def predict(path: Path, model: Path = Path("data/model")) -> dict[str, float]:
    """Class probabilities of a file: the mean over its whole segments, side by side from the start.

    Parameters
    ----------
    path : Path
        Music in any format that the decode stage reads; of MIDI the first 30 s are played.
    model : Path
        What the train stage wrote.

    Returns
    -------
    dict of str to float
        By class name.

    Raises
    ------
    EncoreError
        If the file cannot be read or decoded, has samples that are no numbers, or is shorter than one
        segment.
    """
    trained = TrainedModel.load(model)
    about = trained.description
    rate_hz, length = about.feature.sample_rate_hz, about.feature.segment_length
    try:
        decoded = decode(path, rate_hz, MAX_DURATION_S, about.rendering)
    except OSError as error:
        raise EncoreError(f"{path}: cannot be read: {error.strerror or error}") from None
    if decoded.samples is None:
        raise EncoreError(f"{path} {decoded.info.reason}")
    if decoded.info.not_finite:  # decode makes zeros of them
        raise EncoreError(f"{path} has samples that are infinite or no numbers")
    samples = at_full_scale(decoded.samples)
    starts = range(0, len(samples) - length + 1, length)
    if not starts:
        raise EncoreError(
            f"{path} lasts {len(samples) / rate_hz:.3g} s, but the model takes segments of "
            f"{length / rate_hz:g} s"
        )
    feature = rebuild(about.feature.name, {**about.feature.settings, "sample_rate_hz": rate_hz})
    probability = trained.predict(extract(samples, starts, length, {"": feature})[""])
    return dict(zip(about.labels, probability.mean(axis=0).tolist(), strict=True))
