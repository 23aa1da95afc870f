"""Rows as the CSV of Bulk API 2.0, and that CSV as rows. Pure.

"Prepare CSV Files", Bulk API 2.0 and Bulk API Developer Guide: UTF-8; an empty value is ignored, so a field that is to
stay untouched is an empty cell; ``#N/A`` clears; values are not trimmed; names in the header match exactly. What CSV
cannot say - the text ``#N/A`` itself, a blank text, control characters, a value of more than 32,000 characters - goes
through REST: `carries` tells.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from crmsync.errors import UnexpectedResponseError

NULL: Final = "#N/A"
MAX_VALUE: Final = 32_000
"""Characters of a field ("Bulk API and Bulk API 2.0 Limits and Allocations")."""
MAX_RECORD: Final = 400_000
"""Characters of a record (the same page)."""
MAX_FIELDS: Final = 5_000
"""Fields of a record (the same page)."""

_FOLDED_NULL: Final = NULL.casefold()
_CHUNK: Final = 64 * 1024
# A line feed and a tab are fine, and so is a carriage return before a line feed. Lone surrogates are no UTF-8.
_UNFIT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufeff]|\r(?!\n)")

Values = Mapping[str, object]


def carries(values: Values) -> bool:
    """Whether CSV can say all of a row's values, so that they arrive as they would through REST."""
    if len(values) > MAX_FIELDS:
        return False
    total = 0
    for value in values.values():
        if isinstance(value, str) and value:
            if not _fits(value):
                return False
            total += len(value)
        else:
            total += len(cell(value))
    return total <= MAX_RECORD


def _fits(text: str) -> bool:
    if len(text) > MAX_VALUE or text.isspace() or ("#" in text and text.strip().casefold() == _FOLDED_NULL):
        return False
    # Nothing that is unfit is printable, and this is told faster.
    return text.isprintable() or not _UNFIT.search(text)


def cell(value: object) -> str:
    """A value, as JSON takes it, in CSV. Salesforce holds no empty text: like null, it clears."""
    if isinstance(value, str):
        return value or NULL
    match value:
        case None:
            return NULL
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def columns_of(rows: Iterable[Values], key: str) -> tuple[str, ...]:
    """Every field that some row has, the key first."""
    # Rows have few sets of fields between them.
    names = dict.fromkeys(name for fields in dict.fromkeys(map(tuple, rows)) for name in fields)
    names.pop(key, None)
    return (key, *names)


def most_bytes(rows: Sequence[Values], columns: Sequence[str]) -> int:
    """What the CSV of rows does not exceed, told without making it: a character is four bytes, or a doubled quote."""
    characters = sum(map(len, columns))
    for values in rows:
        for value in values.values():
            characters += len(value) if isinstance(value, str) else len(cell(value))
    around = len(',""') + len(NULL)
    return 4 * characters + around * len(columns) * (len(rows) + 1)


def encode(rows: Iterable[Values], columns: Sequence[str]) -> Iterator[bytes]:
    """The header and the rows, line by line. A row's cell is empty where it has no such field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    yield _taken(buffer)
    for values in rows:
        writer.writerow([cell(values[name]) if name in values else "" for name in columns])
        yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    line = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return line


def gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines in pieces of a size that is worth sending."""
    pieces: list[bytes] = []
    size = 0
    for line in lines:
        pieces.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


class CsvReader:
    """Rows out of bytes that arrive in pieces, cut anywhere: within a character, a line ending, a quoted line feed.

    The first row is the ``header`` (empty before it came) and is in no answer.
    """

    def __init__(self) -> None:
        self.header: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._rest = ""

    def picked(self, rows: Iterable[Sequence[str]], names: Sequence[str]) -> list[list[str]]:
        """The cells under these names of each row; empty where there is no such column."""
        found = {name: place for place, name in enumerate(self.header)}
        places = [found.get(name, -1) for name in names]
        return [[row[place] if place >= 0 else "" for place in places] for row in rows]

    def feed(self, piece: bytes) -> list[list[str]]:
        """The rows that are complete now.

        :raises UnexpectedResponseError: it is no CSV.
        """
        text = self._rest + self._decoded(piece)
        end = _end_of_rows(text)
        self._rest = text[end:]
        return self._rows(text[:end])

    def close(self) -> list[list[str]]:
        """The last row, where no line ending follows it.

        :raises UnexpectedResponseError: it is not complete.
        """
        rest, self._rest = self._rest + self._decoded(b"", final=True), ""
        return self._rows(rest)

    def _decoded(self, piece: bytes, *, final: bool = False) -> str:
        try:
            return self._decoder.decode(piece, final)
        except UnicodeDecodeError:
            raise UnexpectedResponseError("Salesforce's CSV is no UTF-8") from None

    def _rows(self, text: str) -> list[list[str]]:
        try:
            rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        except csv.Error:
            raise UnexpectedResponseError("Salesforce's CSV is malformed") from None
        if rows and not self.header:
            self.header = rows.pop(0)
        width = len(self.header)
        if any(len(row) != width for row in rows):
            raise UnexpectedResponseError("a row of Salesforce's CSV does not fit its header")
        return rows


def _end_of_rows(text: str) -> int:
    """The place after the last line feed that ends a row: one with an even number of quotes before it."""
    quotes = text.count('"')
    end = len(text)
    while True:
        found = text.rfind("\n", 0, end)
        if found < 0:
            return 0
        quotes -= text.count('"', found, end)
        if quotes % 2 == 0:
            return found + 1
        end = found
