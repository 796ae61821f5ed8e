"""The music of a run, as one of MLflow's datasets: its name, and a digest, the same for the same data."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

CONTEXT = "train, valid, test"


def dataset_input(name: str, md5: Mapping[str, str]) -> "DatasetInput":
    """Return the dataset of a run; MLflow keeps one of each name and digest, however often it is logged.

    Parameters
    ----------
    name : str
        As `dataset.name` of params.yaml.
    md5 : mapping of str to str
        MD5 of the files that say what the model has seen, by name; of them the digest is made.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    made_of = json.dumps(dict(md5), sort_keys=True)
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:8]  # as long as MLflow's own
    dataset = Dataset(name, digest, source_type="code", source=json.dumps({"tags": dict(md5)}))
    return DatasetInput(dataset, [InputTag("mlflow.data.context", CONTEXT)])
