"""What MLflow's table of runs shows at first: a view of the experiment that its page's address names."""

import json
import sqlite3
from contextlib import closing, suppress
from urllib.parse import urlencode

from stages.tracking import store

NAME = "encore"
TAG = f"mlflow.sharedViewState.{NAME}"  # of the experiment
COLUMNS = [  # as many as are seen on 1,400 pixels
    *(f"metrics.`{name}/accuracy`" for name in ("baseline", "minus_baseline", "test")),
    *(f"tags.`{name}`" for name in ("model", "dataset", "split", "seed")),
]
STATE = json.dumps(
    {
        "selectedColumns": COLUMNS,
        "orderByKey": "attributes.`Created`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "searchFilter": "",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
    }
)


def address(experiment: str) -> str:
    """Return the part of the page's address that shows the runs of an experiment in this view.

    Parameters
    ----------
    experiment : str
        Its name; if the project's store does not have it, the address is that of all experiments.
    """
    place = f"{store.path().resolve().as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(place, uri=True)) as runs:
        found = runs.execute("SELECT experiment_id FROM experiments WHERE name = ?", (experiment,)).fetchone()
        if found:
            chosen = urlencode({"viewStateShareKey": NAME, "workflowType": "machine_learning"})
            return f"#/experiments/{found[0]}/runs?{chosen}"
    return ""
