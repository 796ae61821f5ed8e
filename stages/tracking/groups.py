"""Runs in MLflow that belong together: those of a grid or a search, below a parent."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stages.core.tables import Epoch
from stages.tracking import store
from stages.tracking.finished import answering
from stages.tracking.names import GRID, grids_of
from stages.tracking.note import TAG
from stages.tracking.process import connect

if TYPE_CHECKING:
    from mlflow.entities import Run

CELL, PARENT = "cell", "mlflow.parentRunId"  # tags
MOST = 1000  # runs in an answer


@dataclass(frozen=True)
class Past:
    """What a finished run took.

    Attributes
    ----------
    model, dataset : str
        As in the parameters.
    epochs : float
    seconds : float
        From the start of the training to the end of the evaluation.
    bytes : int
        Of its artifacts, where they are on this machine.
    """

    model: str
    dataset: str
    epochs: float
    seconds: float
    bytes: int


class Group:
    """The runs of a grid, and the parent above them.

    Parameters
    ----------
    name : str
        Of the grid.

    Raises
    ------
    EncoreError
        If MLflow does not answer.
    """

    def __init__(self, name: str):
        self.name = name
        with answering():
            self._client, self._experiment = connect()
            parents = [run for run in self._runs() if PARENT not in run.data.tags]
        self.parent = str(parents[0].info.run_id) if parents else ""

    @contextmanager
    def opened(self, note: str) -> Iterator[None]:
        """Make the parent, or continue it, and close what still runs below it now and at the end.

        Parameters
        ----------
        note : str
            What its page says.
        """
        if self.parent:
            self._client.update_run(self.parent, status="RUNNING")
        else:
            tags = {GRID: self.name, TAG: note}
            parent = self._client.create_run(self._experiment, tags=tags, run_name=self.name)
            self.parent = str(parent.info.run_id)
        if n := self._close():
            print(f"{self.name}: closed {n} runs in MLflow that were killed")
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            self._close()
            self._client.set_terminated(self.parent, status)

    def tags(self, cell: str) -> dict[str, str]:
        """Return the tags of a cell's run."""
        return {GRID: self.name, CELL: cell, PARENT: self.parent}

    def finished(self, cells: Sequence[str]) -> list[str]:
        """Return those cells that have a finished run, of whatever grid it was."""
        there = self._finished()
        return [cell for cell in cells if cell in there]

    def take(self, cell: str) -> bool:
        """Add this grid to those that the finished run of a cell belongs to; return whether it has one."""
        found = self._search(f"tags.{CELL} = '{cell}' AND attributes.status = 'FINISHED'")
        if found:
            self._adopt(found[-1])
        return bool(found)

    def _finished(self) -> dict[str, "Run"]:
        runs = self._search(f"tags.{CELL} LIKE '%' AND attributes.status = 'FINISHED'")
        return {run.data.tags[CELL]: run for run in runs}

    def adopt(self, cells: Sequence[str]) -> None:
        """Add this grid to those that the finished runs of cells belong to."""
        runs = self._finished()
        for cell in cells:
            self._adopt(runs[cell])

    def _adopt(self, run: "Run") -> None:
        grids = grids_of(run.data.tags)
        if self.name not in grids:
            self._client.set_tag(run.info.run_id, GRID, ",".join([*grids, self.name]))
        if PARENT not in run.data.tags:
            self._client.set_tag(run.info.run_id, PARENT, self.parent)

    def _close(self) -> int:
        """Close the runs of cells that were killed; return how many."""
        running = self._runs(" AND attributes.status = 'RUNNING'")
        killed = [run.info.run_id for run in running if run.info.run_id != self.parent]
        for run_id in killed:
            self._client.set_terminated(run_id, "KILLED")
        return len(killed)

    def log_trial(self, number: int, values: Mapping[str, str], history: Sequence[Epoch], note: str) -> None:
        """Log a trial of a search as a run below the parent, unless it is there.

        Parameters
        ----------
        number : int
            Of the trial.
        values : mapping of str to str
            What the search has chosen, by key.
        history : sequence of Epoch
        note : str
            Why it ended early; empty: it did not.
        """
        from mlflow.entities import Metric, Param

        if self._runs(f" AND tags.trial = '{number}' AND attributes.status = 'FINISHED'"):
            return
        tags = {GRID: self.name, PARENT: self.parent, "trial": str(number), TAG: note}
        name = " · ".join([f"trial {number}", *values.values()])
        run_id = self._client.create_run(self._experiment, tags=tags, run_name=name).info.run_id
        now_ms = int(time.time() * 1000)
        points = [
            Metric(key, value, now_ms, row.epoch)
            for row in history
            for key, value in asdict(row).items()
            if key != "epoch"
        ]
        parameters = [Param(key, value) for key, value in values.items()]
        for start in range(0, max(1, len(points)), MOST):
            self._client.log_batch(run_id, points[start : start + MOST], parameters if not start else [])
        self._client.set_terminated(run_id, "FINISHED" if history else "FAILED")

    def attach(self, *paths: Path) -> None:
        """Add files to the parent."""
        for path in paths:
            self._client.log_artifact(self.parent, str(path))

    def delete(self) -> int:
        """Delete the runs that no other grid has; return how many. MLflow keeps them until ``mlflow gc``."""
        n_deleted = 0
        for run in self._runs():
            run_id, others = run.info.run_id, [name for name in grids_of(run.data.tags) if name != self.name]
            if not others:
                self._client.delete_run(run_id)
                n_deleted += 1
                continue
            self._client.set_tag(run_id, GRID, ",".join(others))
            if run.data.tags.get(PARENT) == self.parent:
                self._client.delete_tag(run_id, PARENT)
        return n_deleted

    def past(self) -> list[Past]:
        """Return what the last finished runs took."""
        runs = self._client.search_runs(
            [self._experiment],
            "tags.content_key LIKE '%' AND attributes.status = 'FINISHED'",
            max_results=100,
        )
        return [
            Past(
                run.data.params["model._target_"],
                run.data.params["dataset.name"],
                float(run.data.params["train.epochs"]),
                (run.info.end_time - run.info.start_time) / 1000,
                _size(run.info.artifact_uri),
            )
            for run in runs
        ]

    def _runs(self, more: str = "") -> list["Run"]:
        found = self._search(f"tags.{GRID} LIKE '%{self.name}%'{more}")
        return [run for run in found if self.name in grids_of(run.data.tags)]

    def _search(self, what: str) -> list["Run"]:
        found: list[Run] = []
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs(
                [self._experiment], what, max_results=MOST, page_token=token or None
            )
            found += page
            token = page.token or None
        return found


def _size(uri: str) -> int:
    folder = Path(store.local(uri))
    if urlsplit(uri).scheme not in ("", "file") or not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
