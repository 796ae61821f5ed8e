"""Reads tables that users write: by hand, in a spreadsheet, or by a script."""

import codecs
import csv
import io
import unicodedata
from pathlib import Path

from stages.core.errors import EncoreError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LONGEST_SHOWN = 80  # characters of a first line that are shown


def spelled(name: str) -> str:
    """Return the one spelling of a name: accents as in NFC, since systems differ, no spaces at its ends."""
    return unicodedata.normalize("NFC", name).strip()


def read_pairs(path: Path, key: str, value: str, parameter: str) -> dict[str, str]:
    """Read two columns of a user's table as a mapping; both are `spelled`.

    The first line names the columns, in upper or lower case, and shows what separates them: a comma,
    semicolon, tab or bar. The text is UTF-8, or UTF-16 with a byte order mark. Empty lines are left out.

    Parameters
    ----------
    path : Path
    key, value : str
        Names of the columns; others are ignored.
    parameter : str
        The parameter that names the file, for messages.

    Raises
    ------
    EncoreError
        If the file cannot be read, lacks a column, or gives one key two values.
    """
    try:
        return _pairs(path.read_bytes(), key, value)
    except UnicodeError as error:
        raise EncoreError(f"{parameter}: cannot read {path}: {error}; save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise EncoreError(f"{parameter}: cannot read {path}: {error}") from None
    except ValueError as error:
        raise EncoreError(f"{parameter}: {path}{error}") from None


def _pairs(content: bytes, key: str, value: str) -> dict[str, str]:
    has_utf16_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if has_utf16_mark else "utf-8-sig")
    separator, key_column, value_column = _layout(text, key, value)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    filled = (row for row in lines if any(field.strip() for field in row))
    next(filled)  # the names of the columns
    pairs: dict[str, str] = {}
    for row in filled:
        if len(row) <= max(key_column, value_column):
            raise ValueError(f", line {lines.line_num}: ends too early")
        name, given = spelled(row[key_column]), spelled(row[value_column])
        if any(sign in name + given for sign in "\0\n\r"):
            raise ValueError(f", line {lines.line_num}: has control characters")
        if pairs.setdefault(name, given) != given:
            raise ValueError(f" gives {name} both {pairs[name]!r} and {given!r}")
    return pairs


def _layout(text: str, key: str, value: str) -> tuple[str, int, int]:
    """Return what separates the columns, and which of them hold the key and the value."""
    first = next((line for line in text.splitlines() if line.strip(" ,;\t|")), "")
    if not first:
        raise ValueError(f" is empty; it needs the columns {key} and {value}")
    for separator in SEPARATORS:
        header = next(csv.reader([first], delimiter=separator, skipinitialspace=True))
        names = [spelled(name).lower() for name in header]
        if names.count(key) == names.count(value) == 1:
            return separator, names.index(key), names.index(value)
    seen = " and ".join(name for sign, name in SEPARATORS.items() if sign in first)
    raise ValueError(
        f" needs the columns {key} and {value}, each once, in its first line; that is "
        f"{first[:LONGEST_SHOWN]!r}, separated by {seen or 'no comma, semicolon, tab or bar'}"
    )
