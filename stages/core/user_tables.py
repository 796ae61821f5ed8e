"""Reads tables that users write: by hand, in a spreadsheet, or by a script."""

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import EncoreError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LONGEST_SHOWN = 80  # characters of a first line that are shown


def spelled(name: str) -> str:
    """Return the one spelling of a name: accents as in NFC, since systems differ, no spaces at its ends."""
    return unicodedata.normalize("NFC", name).strip()


def read_pairs(path: Path, key: str, value: str, parameter: str) -> dict[str, str]:
    """Read two columns of a user's table as a mapping.

    Parameters
    ----------
    path : Path
        See `read_columns`.
    key, value : str
        Names of the columns; others are ignored.
    parameter : str
        The parameter that names the file, for messages.

    Raises
    ------
    EncoreError
        If the file cannot be read, lacks a column, or gives one key two values.
    """
    pairs: dict[str, str] = {}
    with readable(path, parameter):
        for _, row in read_columns(path.read_bytes(), (key, value)):
            name, given = row[key], row[value]
            if pairs.setdefault(name, given) != given:
                raise ValueError(f" gives {name} both {pairs[name]!r} and {given!r}")
    return pairs


@contextmanager
def readable(path: Path, parameter: str) -> Iterator[None]:
    """Turn what goes wrong while the block reads a user's table into an `EncoreError` that names the file.

    Parameters
    ----------
    path : Path
    parameter : str
        What names the file, for the message.
    """
    try:
        yield
    except UnicodeError as error:
        raise EncoreError(f"{parameter}: cannot read {path}: {error}; save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise EncoreError(f"{parameter}: cannot read {path}: {error}") from None
    except ValueError as error:
        raise EncoreError(f"{parameter}: {path}{error}") from None


def read_columns(
    content: bytes, needed: Sequence[str], others: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read columns of a user's table, row by row; to be called in a block of `readable`.

    The first line names the columns, in upper or lower case, and shows what separates them: a comma,
    semicolon, tab or bar. The text is UTF-8, or UTF-16 with a byte order mark. Empty lines are left out.

    Parameters
    ----------
    content : bytes
        Of the whole file.
    needed, others : sequence of str
        Names of columns that the table must have, and of those that it may have; what else it has is ignored.

    Yields
    ------
    number : int
        Of the line that the row ends in, from 1.
    row : dict of str to str
        What is in each column that is there, `spelled`.

    Raises
    ------
    ValueError
        If a column is missing, or a row is not whole; the message follows the name of the file.
    UnicodeError, csv.Error
        If the content is no such table.
    """
    text = decoded(content)
    separator, columns = _layout(text, needed, others)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    filled = (row for row in lines if any(field.strip() for field in row))
    next(filled)  # the names of the columns
    for row in filled:
        if len(row) <= max(columns.values()):
            raise ValueError(f", line {lines.line_num}: ends too early")
        values = {name: spelled(row[column]) for name, column in columns.items()}
        if any(sign in value for value in values.values() for sign in "\0\n\r"):
            raise ValueError(f", line {lines.line_num}: has control characters")
        yield lines.line_num, values


def has_column(content: bytes, name: str) -> bool:
    """Return whether the first line of a user's table names a column; raises as `read_columns` does."""
    first = _first_line(decoded(content))
    return any(name in _names(first, separator) for separator in SEPARATORS)


def decoded(content: bytes) -> str:
    """Return the text of a user's table, without its byte order mark."""
    has_utf16_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if has_utf16_mark else "utf-8-sig")


def _layout(text: str, needed: Sequence[str], others: Sequence[str]) -> tuple[str, dict[str, int]]:
    """Return what separates the columns, and where each of those that are asked for is."""
    first, wanted = _first_line(text), " and ".join([", ".join(needed[:-1]), needed[-1]])
    if not first:
        raise ValueError(f" is empty; it needs the columns {wanted}")
    for separator in SEPARATORS:
        names = _names(first, separator)
        if all(names.count(name) == 1 for name in needed):
            return separator, {
                name: names.index(name) for name in dict.fromkeys([*needed, *others]) if name in names
            }
    seen = " and ".join(name for sign, name in SEPARATORS.items() if sign in first)
    raise ValueError(
        f" needs the columns {wanted}, each once, in its first line; that is "
        f"{first[:LONGEST_SHOWN]!r}, separated by {seen or 'no comma, semicolon, tab or bar'}"
    )


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip(" ,;\t|")), "")


def _names(first: str, separator: str) -> list[str]:
    header = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
    return [spelled(name).lower() for name in header]
