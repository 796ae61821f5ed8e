"""What is beside a trained model: the music that it has learnt from, and what its evaluation found."""

import json
from collections.abc import Mapping
from pathlib import Path

from stages.core.documents import read_document
from stages.core.errors import EncoreError

ENCODER, METRICS, SOURCE = "encoder.onnx", "metrics.json", "source.json"
UNKNOWN = "unknown"


def source(metrics: Path | None) -> Mapping[str, str]:
    """Return name, licence, citation and caveat of the music; "unknown", or empty, where nothing says it.

    Parameters
    ----------
    metrics : Path or None
        metrics.json of the model's evaluation, which has the description beside it, or in the project's
        ``data/raw``; None: it is not there.
    """
    unknown = {"name": UNKNOWN, "licence": UNKNOWN, "citation": UNKNOWN, "caveat": ""}
    if metrics is None:
        return unknown
    folder = metrics.parent
    beside = (folder / SOURCE, folder.parent / "raw" / SOURCE)
    return next((read_document(path) for path in beside if path.is_file()), unknown)


def threshold(metrics: Path) -> float:
    """Return the novelty up to which music counts as known, as an evaluation has found it.

    Parameters
    ----------
    metrics : Path
        Its metrics.json.

    Raises
    ------
    EncoreError
        If it does not say it.
    """
    try:
        return float(json.loads(metrics.read_text("utf-8"))["open_set"]["threshold"])
    except (ValueError, KeyError):
        raise EncoreError(f"{metrics.name} has no open_set.threshold; evaluate the model again") from None
