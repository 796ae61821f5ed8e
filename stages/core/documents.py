"""JSON files between stages, with a checksum: a byte that has changed on the disk is noticed."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core.errors import EncoreError
from stages.core.workspace import distrust

CHECKSUM = "crc32"  # the last key


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write plain values as indented UTF-8 JSON, for `read_document`."""
    text = json.dumps({**document, CHECKSUM: _checksum(document)}, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", "utf-8")


def read_document(path: Path, schema: str | None = None) -> dict[str, Any]:
    """Read what `write_document` wrote.

    Parameters
    ----------
    path : Path
    schema : str or None
        What its key ``schema`` should be; None: it has none.

    Raises
    ------
    EncoreError
        If it has another schema, or a value has changed since it was written.
    """
    what_to_do = "delete the file and run `dvc repro`"
    try:
        document = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        distrust(path)
        raise EncoreError(f"{path}: not readable as JSON: {error}; {what_to_do}") from None
    found = document.get("schema") if isinstance(document, dict) else None
    if found != schema:
        raise EncoreError(f"{path}: has the schema {found}, should be {schema}; {what_to_do}")
    if not isinstance(document, dict) or document.pop(CHECKSUM, None) != _checksum(document):
        distrust(path)
        raise EncoreError(f"{path}: damaged, or changed after a stage wrote it; {what_to_do}")
    return document


def _checksum(document: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(document, sort_keys=True).encode()):08x}"
