"""A verdict about the label of a track, and the tables of them: appended by Encore, edited by people."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from stages.core.errors import EncoreError
from stages.core.user_tables import read_columns, readable, spelled

WRONG, AMBIGUOUS, RIGHT, BROKEN = "label_wrong", "ambiguous", "label_right", "broken_audio"
VERDICTS = (WRONG, AMBIGUOUS, RIGHT, BROKEN)
WITHDRAWN = "withdrawn"  # takes the verdict before it back
LABELLED = (WRONG, RIGHT)  # the verdicts after which a track has a label
LONGEST_LABEL = 80  # characters
NOT_IN_A_LINE = ("Cc", "Cs", "Zl", "Zp")  # control characters, line ends, and what UTF-8 cannot hold
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|\+00:00)")
OF_GIT = re.compile(rb"^(<{7} |={7}\r?$|>{7} )", re.MULTILINE)  # where it could not merge
REVIEWER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A row of a journal; what nobody knows is empty.

    Attributes
    ----------
    time : str
        UTC, ISO 8601 with seconds, such as 2026-11-29T05:36:48Z.
    track_id : str
    path : str
        Of the music file, below data/raw/music.
    sha256 : str
        Of the music file: the same track_id may be other music later.
    verdict : str
        One of `VERDICTS`, or `WITHDRAWN`.
    label : str
        After the verdict: the new one of label_wrong, the old one of label_right and withdrawn; empty for
        ambiguous and broken_audio, since nobody can say it.
    was : str
        Before the verdict.
    predicted : str
        What the model says.
    model : str
        Which model that was.
    reviewer : str
        Who listened.
    """

    time: str
    track_id: str
    path: str
    sha256: str
    verdict: str
    label: str
    was: str
    predicted: str
    model: str
    reviewer: str


COLUMNS = tuple(field.name for field in fields(Verdict))
HEADER = ",".join(COLUMNS)
NEEDED = ("track_id", "verdict", "label")  # columns without which a table says nothing


def checked(verdict: Verdict) -> Verdict:
    """Return a verdict that may be appended: its label is `spelled`.

    Raises
    ------
    EncoreError
        If a value is missing, not allowed, or contradicts another one.
    """
    label = spelled(verdict.label)
    if not TIME.fullmatch(verdict.time):
        raise EncoreError(f"time is {verdict.time!r}, should be UTC with seconds: 2026-11-29T05:36:48Z")
    check_reviewer(verdict.reviewer)
    verdict = _check(replace(verdict, label=label))
    if verdict.verdict == WRONG and not label.isprintable():
        raise EncoreError(f"label is {label!r}: it has characters that cannot be shown")
    if verdict.verdict == WRONG and len(label) > LONGEST_LABEL:
        raise EncoreError(f"label has {len(label)} characters; {LONGEST_LABEL} are the most")
    if verdict.verdict == WRONG and label == spelled(verdict.was):
        raise EncoreError(f"label is {label!r}, as it was; the verdict is {RIGHT} then, or name another one")
    if verdict.verdict == RIGHT and label != spelled(verdict.was):
        raise EncoreError(f"label is {label!r} and was {verdict.was!r}; the verdict is {WRONG} then")
    return verdict


def check_reviewer(name: str) -> None:
    """Raise `EncoreError` if a name cannot be that of a reviewer, which is the name of a file, too."""
    if not REVIEWER.fullmatch(name):
        raise EncoreError(
            f"reviewer {name!r}: should be 1 to 40 of the letters a to z, digits, - and _, and begin with a "
            "letter or digit"
        )


def line_of(verdict: Verdict) -> bytes:
    """Return a verdict as a line of a journal, with its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(getattr(verdict, name) for name in COLUMNS)
    return text.getvalue().encode()


def read_verdicts(path: Path, parameter: str = "verdicts") -> list[Verdict]:
    """Read the verdicts of a journal, or of a table with the columns `NEEDED` that a person has made.

    Spaces at the ends of values, line ends and byte order marks do not matter, nor does what separates the
    columns; see `stages.core.user_tables`. What a killed process has left of a last line is not read.

    Parameters
    ----------
    path : Path
    parameter : str
        What names the file, for messages.

    Returns
    -------
    list of Verdict
        In the order of the rows; values of columns that are missing are empty.

    Raises
    ------
    EncoreError
        If the file cannot be read, or one of its rows is no verdict.
    """
    rows: Iterable[tuple[int, Mapping[str, str]]]
    with readable(path, parameter):
        whole, _ = without_torn_end(path.read_bytes(), path.stem)
        if not whole.strip():
            return []
        if mark := OF_GIT.search(whole):
            line = whole.count(b"\n", 0, mark.start()) + 1
            raise ValueError(
                f", line {line}: git has merged it in part; keep the rows of both, without its marks"
            )
        if has_own_header(whole):
            rows = _own_rows(whole.decode("utf-8-sig"))
        else:
            rows = read_columns(whole, NEEDED, COLUMNS)
        return [_of_row(number, row) for number, row in rows]


def current(rows: Iterable[Verdict], sha256: Mapping[str, str] | None = None) -> dict[str, Verdict]:
    """Return the last verdict about each track, unless it was withdrawn, by track_id.

    Parameters
    ----------
    rows : iterable of Verdict
        In the order in which they were given.
    sha256 : mapping or None
        Of the music of each track as it is now; verdicts about other music, or about tracks that are not
        there, do not count. None: all count. A verdict without sha256 is about whatever the track is.
    """
    last = {row.track_id: row for row in rows if sha256 is None or is_about(row, sha256)}
    return {track_id: row for track_id, row in last.items() if row.verdict != WITHDRAWN}


def is_about(row: Verdict, sha256: Mapping[str, str]) -> bool:
    """Return whether a verdict is about music that is there: `sha256` has that of each track's file."""
    return row.track_id in sha256 and row.sha256 in ("", sha256[row.track_id])


def without_torn_end(content: bytes, reviewer: str) -> tuple[bytes, bytes]:
    """Split a journal into its whole lines, and what a kill or a power failure has left of the last one.

    A last line that was not ended is whole if it has all columns up to the reviewer's whole name: an editor
    may have left out its end. What does not begin as a verdict does is nothing that Encore has left.

    Parameters
    ----------
    content : bytes
    reviewer : str
        Whose journal it is.

    Returns
    -------
    whole, torn : bytes
        Together they are `content`.
    """
    first, ended, _ = content.partition(b"\n")
    if not ended and HEADER.encode().startswith(first.rstrip(b"\0")) and first != HEADER.encode():
        return b"", content
    start = content.rfind(b"\n") + 1
    last = content[start:]
    if not last or not has_own_header(content) or not ended or not _begins_as_verdict(last):
        return content, b""
    is_whole = b"\0" not in last and _is_whole(last, reviewer)
    return (content, b"") if is_whole else (content[:start], last)


def has_own_header(content: bytes) -> bool:
    """Return whether the columns of a table are those of a journal, in order, with commas between."""
    first, _, _ = content.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    return first.rstrip(b"\r") == HEADER.encode()


def _begins_as_verdict(line: bytes) -> bool:
    """Return whether a line begins with a time, as far as it goes; zeros are what a power failure leaves."""
    text = line.rstrip(b"\0").decode("utf-8", "replace")[:19]
    return all(
        sign.isdecimal() if wanted == "0" else sign == wanted
        for sign, wanted in zip(text, "0000-00-00T00:00:00", strict=False)
    )


def _is_whole(line: bytes, reviewer: str) -> bool:
    try:
        values = next(csv.reader([line.decode("utf-8")], strict=True))
    except (UnicodeDecodeError, csv.Error):
        return False
    return len(values) >= len(COLUMNS) and (
        values[-1] == reviewer or not reviewer.startswith(values[-1].rstrip("\r"))
    )


def _own_rows(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    lines = csv.reader(io.StringIO(text, newline=""))
    next(lines)
    for values in lines:
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(COLUMNS):
            raise ValueError(f", line {lines.line_num}: has {len(values)} columns, should be {len(COLUMNS)}")
        yield lines.line_num, dict(zip(COLUMNS, values, strict=True))


def _of_row(number: int, row: Mapping[str, str]) -> Verdict:
    """Return the verdict in a row that a person may have edited."""
    values = {name: row.get(name, "") for name in COLUMNS}
    values |= {name: spelled(values[name]) for name in ("verdict", "label")}
    try:
        return _check(Verdict(**values))
    except EncoreError as error:
        raise ValueError(f", line {number}: {error}") from None


def _check(row: Verdict) -> Verdict:
    for name in COLUMNS:
        value = getattr(row, name)
        if any(unicodedata.category(sign) in NOT_IN_A_LINE for sign in value):
            raise EncoreError(f"{name} is {value!r}: it has characters that no line can hold")
    if not row.track_id:
        raise EncoreError("track_id is empty")
    if row.verdict not in (*VERDICTS, WITHDRAWN):
        raise EncoreError(f"verdict is {row.verdict!r}, should be {', '.join(VERDICTS)} or {WITHDRAWN}")
    if row.verdict in LABELLED and not row.label:
        raise EncoreError(f"{row.verdict} of {row.track_id} needs a label")
    if row.verdict in (AMBIGUOUS, BROKEN) and row.label:
        raise EncoreError(f"{row.verdict} of {row.track_id} has the label {row.label!r}, should have none")
    return row
