"""Finished runs in folders: the workspaces of other checkouts of the project, without MLflow."""

from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.params import flat, read
from stages.entry.registry import SECTIONS
from stages.tracking.finished import Finished, Results, read_results
from stages.tracking.names import model_class, parts


def finished_in(folder: Path) -> tuple[Finished, Results]:
    """Return the run whose outputs a checkout has.

    Parameters
    ----------
    folder : Path
        Its root, with params.yaml and ``data/evaluation``.

    Raises
    ------
    EncoreError
        If something of it is missing, damaged or of an older version.
    """
    sections = {name: read(name, folder / "params.yaml") for name in SECTIONS}
    tags = {"model": model_class(sections)}
    parameters = {key: str(value) for key, value in flat(sections).items()}
    run = Finished(str(folder), " · ".join(parts(sections)), "", "", {}, tags, parameters)
    try:
        return run, read_results(run, folder / "data/evaluation", seconds=float("nan"))
    except OSError as error:
        raise EncoreError(
            f"{folder}: {error.filename} is not there; `dvc repro` in {folder} makes it"
        ) from None
