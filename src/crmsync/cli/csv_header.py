"""A look at a reader's own CSV: its encoding, its delimiter, its columns, and which of them can identify a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from crmsync.cli.exits import UsageProblemError
from crmsync.mapping.suggestions import name_meaning

_DELIMITERS: Final = ",;\t|"
_ENCODINGS: Final = ("utf-8-sig", "cp1252")
_IDENTIFYING: Final = frozenset({"record id", "account number"})


@attrs.frozen
class CsvHeader:
    """What was found. ``keys`` are the columns whose values are all there and all different, the likeliest id first."""

    columns: tuple[str, ...]
    delimiter: str
    encoding: str
    keys: tuple[str, ...]
    rows: int


def inspect_csv(path: Path) -> CsvHeader:
    """Read a CSV to propose how to use it.

    :raises UsageProblemError: it cannot be read, has no header, names a column twice, or has no data row.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise UsageProblemError(msg) from None
    text, encoding = _decoded(content)
    delimiter = _delimiter(text)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        msg = f"{path} is not a readable CSV: {error}"
        raise UsageProblemError(msg) from None
    if len(rows) < 2:  # noqa: PLR2004 - a header and a row
        msg = f"{path} needs a header line and at least one row, to propose a mapping from"
        raise UsageProblemError(msg)
    columns = tuple(rows[0])
    if len(set(columns)) != len(columns) or not all(columns):
        msg = f"{path}: every column needs a name, and no name twice"
        raise UsageProblemError(msg)
    return CsvHeader(columns, delimiter, encoding, tuple(_keys(columns, rows[1:])), len(rows) - 1)


def _decoded(content: bytes) -> tuple[str, str]:
    for encoding in _ENCODINGS:
        try:
            return content.decode(encoding), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1"), "latin-1"


def _delimiter(text: str) -> str:
    header = text.splitlines()[0] if text else ""
    return max(_DELIMITERS, key=header.count)


def _keys(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    found = []
    for place, column in enumerate(columns):
        values = [row[place] for row in rows if len(row) > place]
        if len(values) == len(rows) == len(set(values)) and all(value.strip() for value in values):
            found.append(column)
    return sorted(found, key=_likelihood)


def _likelihood(column: str) -> int:
    name = column.lower().replace("-", "_")
    if name in ("id", "uuid", "key"):
        return 0
    meaning = name_meaning(column)
    if name.endswith(("id", "uuid", "_key", "number", "_no")) or meaning in _IDENTIFYING:
        return 1
    return 2 if "mail" in name or meaning == "e-mail address" else 3
