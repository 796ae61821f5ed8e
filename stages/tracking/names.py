"""How a run is named, and what a caller adds to its tags."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

GRID = "grid"  # the tag with the names of the grids that a run belongs to, with commas between them


def grids_of(tags: Mapping[str, str]) -> list[str]:
    """Return the names of the grids that a run belongs to."""
    return [name for name in tags.get(GRID, "").split(",") if name]


def model_class(sections: Mapping[str, Any]) -> str:
    """Return the class of the model, such as EncoreCNN."""
    return str(sections["model"]["_target_"]).removeprefix("models.")


def parts(sections: Mapping[str, Any]) -> list[str]:
    """Return what a person tells runs apart by, such as lstm, gtzan, ``fold 2`` and ``seed 1``.

    Parameters
    ----------
    sections : mapping of str to dict
        model, dataset, split and train of params.yaml.
    """
    # as in conf/model
    model = re.sub("(?<=[a-z])(?=[A-Z])", "_", model_class(sections)).lower()
    fold = [f"fold {sections['split']['fold']}"] if "fold" in sections["split"] else []
    return [model, str(sections["dataset"]["name"]), *fold, f"seed {sections['train']['seed']}"]


def context() -> dict[str, str]:
    """Return the tags that MLflow's setting MLFLOW_RUN_CONTEXT asks for: a grid, and its parent."""
    given = json.loads(os.environ.get("MLFLOW_RUN_CONTEXT") or "{}")
    return {str(tag): str(value) for tag, value in given.items()}
