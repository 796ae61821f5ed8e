"""The music that a model has learnt from, as its fetch stage has described it."""

from collections.abc import Mapping
from pathlib import Path

from stages.core.documents import read_document

SOURCE = "source.json"
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
