"""What people say about labels after listening, and what the accuracy would be: `encore verdicts`.

encore verdicts                 every file in data/verdicts, which the page of `encore serve` writes
encore verdicts anna            of one reviewer: the labels that are wrong, and the tracks nobody can label
encore verdicts anna bob        how far two reviewers agree: Cohen's kappa, and where they differ

A name is that of a reviewer, or a file. `encore run dataset.labels=data/verdicts/anna.csv` trains and tests
with the corrected labels; the file has to be in git, or the path absolute.
"""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import EncoreError, did_you_mean, some
from stages.core.tables import RawTrack, read_rows
from stages.correcting.agreement import agreement
from stages.correcting.journal import FOLDER
from stages.correcting.verdict import RIGHT, Verdict, current, read_verdicts
from stages.entry import caller
from stages.entry.command import run_parsed
from stages.evaluation.corrected import Predicted, Summary, summary
from stages.evaluation.predictions import read_tracks
from stages.reports.verdicts import agreement_lines, correction_lines, summary_lines

TRACKS, PREDICTIONS = Path("data/raw/tracks.csv"), Path("data/evaluation/predictions.csv")
NO_VERDICTS = f"no verdicts in {FOLDER} yet; `encore serve` opens a page to listen and judge"


@dataclass(frozen=True)
class Reviewed:
    """A file of verdicts.

    Attributes
    ----------
    file : str
    name : str
        Of the reviewer, or of the file.
    verdicts : dict of str to Verdict
        The last one about each track that is the same music now.
    n_changed : int
        Verdicts about tracks that are not there, or are other music now.
    summary : Summary or None
        None: nothing is evaluated yet.
    """

    file: str
    name: str
    verdicts: dict[str, Verdict]
    n_changed: int
    summary: Summary | None


def main() -> None:
    """Print summaries, or the agreement of two reviewers."""
    parser = ArgumentParser(
        "encore verdicts", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="a reviewer, or a file of verdicts; two at most"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    if len(given.names) > 2:
        parser.error("give two names at most: agreement is that of two reviewers")
    files = [_file(name) for name in given.names]
    if len(files) == 2:
        _compare(files, given.json)
    else:
        _summarize(files or sorted(FOLDER.glob("*.csv")), given.json, in_full=bool(files))


def _file(name: str) -> Path:
    """Return the file that a word of the command line names."""
    path = caller.given(name)
    if path.is_file() or "/" in name or name.endswith(".csv"):
        return path
    journal = FOLDER / f"{name}.csv"
    if not journal.is_file():
        names = sorted(file.stem for file in FOLDER.glob("*.csv"))
        there = f"there are: {some(names)}{did_you_mean(name, names)}" if names else NO_VERDICTS
        raise EncoreError(f"{name}: no such reviewer or file; {there}")
    return journal


def _compare(files: Sequence[Path], as_json: bool) -> None:
    """Print how far two reviewers agree."""
    first, second = (current(read_verdicts(file)) for file in files)
    found = agreement(first, second)
    if as_json:
        print(json.dumps({"files": [*map(str, files)], **asdict(found)}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(agreement_lines(found, *(file.stem for file in files))))


def _summarize(files: Sequence[Path], as_json: bool, in_full: bool) -> None:
    """Print the summary of each file; `in_full`: with the tracks whose labels are corrected."""
    sha256 = {row.track_id: row.sha256 for row in read_rows(TRACKS, RawTrack)} if TRACKS.is_file() else None
    tested = read_tracks(PREDICTIONS) if PREDICTIONS.is_file() else []
    predictions = [Predicted(row.track_id, row.unit, row.label, row.predicted) for row in tested]
    found = [_reviewed(file, sha256, predictions) for file in files]
    if as_json:
        print(json.dumps({"verdicts": [_document(one) for one in found]}, indent=2, ensure_ascii=False))
    elif not found:
        print(NO_VERDICTS)
    for one in () if as_json else found:
        print("\n".join(_lines(one, in_full)))


def _reviewed(file: Path, sha256: Mapping[str, str] | None, predictions: Sequence[Predicted]) -> Reviewed:
    rows = read_verdicts(file)
    verdicts = current(rows, sha256)
    return Reviewed(
        file=str(file),
        name=file.stem,
        verdicts=verdicts,
        n_changed=len(current(rows).keys() - verdicts.keys()),
        summary=summary(verdicts, predictions) if predictions else None,
    )


def _document(one: Reviewed) -> dict[str, Any]:
    return {
        "file": one.file,
        "reviewer": one.name,
        "n_verdicts": len(one.verdicts),
        "n_changed": one.n_changed,
        "summary": one.summary and asdict(one.summary),
        "corrected": [asdict(row) for row in one.verdicts.values() if row.verdict != RIGHT],
    }


def _lines(one: Reviewed, in_full: bool) -> list[str]:
    n = len(one.verdicts)
    lines = [f"{one.name}: {n} track{'' if n == 1 else 's'} judged"]
    if one.n_changed:
        lines.append(f"left out: {one.n_changed} judged tracks that are not there, or are other music now")
    if one.summary is None:
        lines.append(
            "nothing is evaluated yet, so what the accuracy would be is unknown; `dvc repro` evaluates"
        )
    else:
        lines += summary_lines(one.summary)
    if in_full and (corrections := correction_lines(one.verdicts.values())):
        lines += ["", *corrections]
    return [lines[0], *(f"  {line}" if line else "" for line in lines[1:])]


if __name__ == "__main__":
    run_parsed(main)
