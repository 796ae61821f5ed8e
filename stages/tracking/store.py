"""The project's own MLflow store, whose artifacts are beside it wherever the project's folder goes.

MLflow keeps the absolute place of each run's artifacts (its issue 3144). When the folder was moved or copied,
the places in the store are set to the new folder before a run is logged or MLflow's page is opened.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from stages.core.workspace import root

EXPERIMENT = "encore"  # unless MLFLOW_EXPERIMENT_NAME has another
ARTIFACTS = "mlartifacts"
# Where MLflow keeps the place of an experiment's, a run's and a model's artifacts.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def path() -> Path:
    """Return where the store is: at the workspace's root, whatever folder a stage runs in."""
    return root() / "mlflow.db"


def sqlite_uri(store: Path) -> str:
    """Return the address of a store for MLflow.

    Only ``%`` and ``?`` are quoted: MLflow creates the store's folder by its name in the address, and would
    create another one, such as ``My%20Music``.
    """
    return "sqlite:///" + str(store).replace("%", "%25").replace("?", "%3F")


def artifacts_uri() -> str:
    """Return where artifacts go: beside the store, or beside what ``mlflow.db`` is a link to."""
    return path().resolve().with_name(ARTIFACTS).as_uri()


def relocate() -> None:
    """Set the places in the store to the project's folder, and say so, if it has been moved or copied.

    Artifacts that are at their old place only keep it, as after a copy of ``mlflow.db`` alone.

    Raises
    ------
    sqlite3.Error
        If the store cannot be read or written.
    """
    if not path().exists():
        return
    with closing(sqlite3.connect(path(), timeout=60)) as store, store:
        moved = list(_moved(store))
        for table, column, row, new in moved:
            store.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))  # noqa: S608
    if moved:
        print(
            f"MLflow: {path()} comes from another folder; its artifacts are now in {local(artifacts_uri())}",
            file=sys.stderr,
        )


def _moved(store: sqlite3.Connection) -> Iterator[tuple[str, str, int, str]]:
    """Yield table, column, row and new value of each place that is to be changed."""
    here = artifacts_uri()
    for table, column in PLACES:
        elsewhere = f"{column} LIKE 'file:%' AND substr({column}, 1, ?) != ?"
        rows = store.execute(
            f"SELECT rowid, {column} FROM {table} WHERE {elsewhere}",  # noqa: S608
            (len(here), here),
        )
        for row, place in rows.fetchall():
            _, is_ours, below = f"{place}/".rpartition(f"/{ARTIFACTS}/")
            new = f"{here}/{below}".rstrip("/")
            stays = below and Path(local(place)).exists() and not Path(local(new)).exists()
            if is_ours and not stays:
                yield table, column, row, new


def local(uri: str) -> str:
    """Return the path that a ``file:`` address names."""
    return url2pathname(urlsplit(uri).path)
