"""What MLflow's page of runs shows at first: a view of the experiment that its address names.

MLflow keeps in a tag of the experiment what a person can save as a shared view; nothing of it is documented.
"""

import json
import sqlite3
from contextlib import closing, suppress
from urllib.parse import urlencode

from stages.tracking import store

NAME = "encore"
TAG = f"mlflow.sharedViewState.{NAME}"  # of the experiment
COLUMNS = {  # with their widths; what a person compares is seen on 1,400 pixels
    "attributes.`Run Name`": 245,
    "attributes.`Dataset`": 150,
    "tags.`model`": 90,
    "tags.`split`": 75,
    "metrics.`test/accuracy`": 105,
    "metrics.`test_baseline/accuracy`": 155,
    "metrics.`test_minus_baseline/accuracy`": 195,
    "tags.`seed`": 60,
}
PICTURE = "test/confusion"  # a run's picture, as it is named for MLflow's charts
# MLflow makes charts of metrics by itself, and of pictures with all parameters over them.
CHARTS = [
    {
        "type": "DIFFERENCE",
        "metricSectionId": "Parameters that differ",
        "chartName": "Parameters that differ",
        "compareGroups": ["Parameters"],
        "showDifferencesOnly": True,
        "showChangeFromBaseline": False,
        "baselineColumnUuid": "",
    },
    {
        "type": "IMAGE",
        "metricSectionId": "Confusion of test tracks",
        "displayName": "confusion",
        "imageKeys": [PICTURE],
        "step": 0,
        "showRunParams": False,
    },
]
SECTIONS = {  # of charts, in their order: how many in a row, and their height in pixels
    "Parameters that differ": (1, 420),
    "test": (3, 240),
    "Confusion of test tracks": (1, 720),
    "test_baseline": (3, 240),
    "test_minus_baseline": (3, 240),
    "Model metrics": (3, 300),  # MLflow's name of what has no section: the curves
    "test_open_set": (3, 240),
    "test_segments": (3, 240),
    "train": (3, 240),
    "valid": (3, 240),
    "System metrics": (3, 300),
}
STATE = json.dumps(
    {
        "selectedColumns": list(COLUMNS),
        "columnOrder": list(COLUMNS),
        "columnWidths": COLUMNS,
        "orderByKey": "attributes.`Created`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "searchFilter": "",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "compareRunCharts": [
            {**chart, "uuid": chart["metricSectionId"], "isGenerated": False, "deleted": False}
            | {"runsCountToCompare": 10}
            for chart in CHARTS
        ],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": False}
            | {"columns": columns, "cardHeight": height}
            for name, (columns, height) in SECTIONS.items()
        ],
        "isAccordionReordered": True,
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
