"""The options that commands which ask a model have in common, and the model that they choose."""

import hashlib
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import EncoreError
from stages.entry import caller
from stages.inference.origin import ENCODER, METRICS, UNKNOWN, source, threshold

DATA = Path("data")  # of the project


@dataclass(frozen=True)
class Chosen:
    """The model that a command asks.

    Attributes
    ----------
    folder : Path
        Of model.json and weights.safetensors.
    name : str
        What to call it: its folder, or its run.
    metrics : Path or None
        metrics.json of its evaluation; None: it is not there.
    """

    folder: Path
    name: str
    metrics: Path | None

    @property
    def threshold(self) -> float | None:
        """The novelty up to which music counts as known; None: the model was not evaluated."""
        return None if self.metrics is None else threshold(self.metrics)

    @property
    def origin(self) -> list[str]:
        """A line about the music that the model has learnt from, if that is known."""
        music = source(self.metrics)
        if music["name"] == UNKNOWN:
            return []
        return [": ".join(filter(None, [f"trained on {music['name']}", music["caveat"]]))]

    def learnt_from(self, paths: Iterable[Path]) -> set[Path]:
        """Return which files are the music of the training or of the validation of the project's own model.

        Of the models of runs and of other folders it is not known.
        """
        from stages.core.tables import Assignment, RawTrack, read_rows

        tracks, split = DATA / "raw/tracks.csv", DATA / "split/split.csv"
        if self.folder.resolve() != (DATA / "model").resolve() or not (tracks.is_file() and split.is_file()):
            return set()
        learnt = {row.track_id for row in read_rows(split, Assignment) if row.split in ("train", "valid")}
        digests = {row.sha256 for row in read_rows(tracks, RawTrack) if row.track_id in learnt}
        return {path for path in paths if path.is_file() and _sha256(path) in digests}

    @property
    def encoder(self) -> Path | None:
        """The file of the feature encoder, if it travels with the model."""
        path = self.folder / ENCODER
        return path if path.exists() else None


def parser(description: str | None, prog: str, has_json: bool = True) -> ArgumentParser:
    """Return the parser of a command that asks a model.

    Parameters
    ----------
    description : str or None
        The docstring of its module.
    prog : str
        Such as ``encore predict``.
    has_json : bool
        Whether its answer can be JSON.
    """
    made = ArgumentParser(prog, description=description, formatter_class=RawDescriptionHelpFormatter)
    which = made.add_mutually_exclusive_group()
    which.add_argument(
        "--model", metavar="FOLDER", help="folder with model.json and its weights; else the project's model"
    )
    which.add_argument("--run", metavar="NAME", help="the model of a finished run, by its name or id")
    if has_json:
        made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--quiet", action="store_true", help="print the answer only")
    return made


def say(options: Namespace, *lines: str) -> None:
    """Print lines beside the answer, unless it is to be quiet: to stderr, so that a pipe gets the answer."""
    if not options.quiet:
        for line in lines:
            print(line, file=sys.stderr)


def chosen(options: Namespace) -> Chosen:
    """Return the model that the command line names.

    Raises
    ------
    EncoreError
        If there is no such folder or run, or the run has lost its model.
    """
    if options.run is not None:
        from stages.tracking.finished import Store

        run, folder, metrics = Store().model(options.run)
        return Chosen(folder, f"run {run.name} ({run.run_id})", metrics)
    folder = DATA / "model" if options.model is None else caller.given(options.model)
    if not (folder / "model.json").is_file():
        todo = "`make repro` trains one" if options.model is None else "give the folder that train wrote"
        raise EncoreError(f"{folder.resolve()}: has no model.json; {todo}, or --run NAME of a finished run")
    beside = (folder / METRICS, folder.parent / "evaluation" / METRICS)
    return Chosen(folder, str(folder.resolve()), next((path for path in beside if path.is_file()), None))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
