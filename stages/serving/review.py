"""The verdicts that count for a server: those in a journal that are about music which is here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stages.correcting.journal import FOLDER
from stages.correcting.verdict import REVIEWER, Verdict, current, is_about
from stages.evaluation.corrected import Predicted, Summary
from stages.evaluation.corrected import summary as summarized
from stages.serving.music import Music


@dataclass(frozen=True)
class Given:
    """A verdict on a track, as the API shows it.

    Attributes
    ----------
    verdict : str
    label : str
        After the verdict; empty: nobody can say it.
    time : str
        UTC.
    """

    verdict: str
    label: str
    time: str


def shown(verdict: Verdict | None) -> Given | None:
    """Return what the API shows of a verdict; None: there is none."""
    return None if verdict is None else Given(verdict.verdict, verdict.label, verdict.time)


def present(rows: Iterable[Verdict], music: Music) -> dict[str, Verdict]:
    """Return the last verdict about each track, by track_id; not those about other music.

    A table that a person has made may lack the music's SHA-256: its verdicts count.
    """
    return current(rows, music.sha256)


def left_out(rows: Iterable[Verdict], music: Music) -> int:
    """Count the tracks whose verdicts are about music that is not here."""
    return len(current(row for row in rows if not is_about(row, music.sha256)))


def summary(verdicts: Mapping[str, Verdict], music: Music) -> Summary:
    """Return what the accuracy would be with verdicts."""
    tested = [
        Predicted(track.raw.track_id, found.unit, found.label, found.predicted)
        for track in music.tracks.values()
        if (found := track.evaluated)
    ]
    return summarized(verdicts, tested)


def reviewers() -> list[str]:
    """Return the names of those who have a journal, by name."""
    names = (path.stem for path in FOLDER.glob("*.csv") if path.is_file())
    return sorted(name for name in names if REVIEWER.fullmatch(name))
