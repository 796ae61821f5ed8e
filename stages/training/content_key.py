"""The content key of a training, by which its checkpoint and its MLflow run are found."""

import hashlib
import json
from typing import Any

from stages.splitting import examples
from stages.storage.closure import import_closure


def content_key(parameters: dict[str, Any]) -> str:
    """Return a hash of all that determines a training: its input files, parameters and code."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for path in (examples.FEATURES, examples.SPLIT, *import_closure("stages.train")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
