"""A CSV file as rows that remember their own text, so that what is not changed is written back byte for byte.

Read strictly: a row whose quotes do not add up is broken by itself and swallows none after it. Nothing is thrown away.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from crmsync.errors import ConfigurationError
from crmsync.models.problems import Problem

_DELIMITERS: Final = (",", ";", "\t", "|")
_BOMS: Final = {
    "utf-8": (codecs.BOM_UTF8, "utf-8"),
    "utf-16-le": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-16-be": (codecs.BOM_UTF16_BE, "utf-16-be"),
}
_LONGEST_KEY: Final = 64


@attrs.frozen(slots=True)
class CsvFormat:
    """How to read a file: the ``encoding``, the ``delimiter`` (None: found out), the column that identifies a row."""

    key: str = "id"
    encoding: str = "utf-8"
    delimiter: str | None = None


@attrs.frozen(slots=True)
class Row:
    """One row: its cells, and its text with its line end. ``line`` is the number of its first line, from 1."""

    cells: list[str] = attrs.field(repr=False)
    raw: str = attrs.field(repr=False)
    line: int

    @property
    def blank(self) -> bool:
        """Whether it is an empty line, which is no record."""
        return not self.cells and not self.raw.strip("\r\n")


@attrs.frozen(slots=True)
class CsvDocument:
    """A parsed file.

    ``rows`` are all rows in order, good, broken and blank; ``good`` has the index of each good row by its key,
    ``blocked`` the keys of rows that cannot be used. ``unreadable`` says that a row's key could not even be read.
    ``problems`` tells which rows are bad and why; ``digest`` is that of the bytes.
    """

    header: Row
    before: str = attrs.field(repr=False)
    rows: list[Row] = attrs.field(repr=False)
    good: dict[str, int] = attrs.field(repr=False)
    blocked: frozenset[str] = attrs.field(repr=False)
    unreadable: bool
    problems: tuple[Problem, ...]
    digest: str
    delimiter: str
    encoding: str
    bom: bytes
    key_at: int

    @property
    def columns(self) -> list[str]:
        """The columns' names in order."""
        return self.header.cells

    @property
    def line_end(self) -> str:
        """The line end of the header, which new rows get."""
        return line_end(self.header.raw) or "\n"

    def encode(self, header: Row, rows: Sequence[Row | None]) -> bytes:
        """The file with this header and these rows (None: left out) in the place of its own."""
        text = self.before + header.raw + "".join(row.raw for row in rows if row is not None)
        return self.bom + text.encode(self.encoding)


def parse_csv(content: bytes, digest: str, form: CsvFormat) -> CsvDocument:
    """Parse a whole file. ``digest`` is that of the content, as its reader counts it.

    :raises ConfigurationError: it is not in the encoding, has no header, names a column twice, or lacks the key column.
    """
    text, encoding, bom = _decode(content, form.encoding)
    lines = list(io.StringIO(text, newline=""))
    start = next((number for number, line in enumerate(lines) if line.strip("\r\n")), len(lines))
    delimiter = form.delimiter or _delimiter(lines[start:], form.key)
    parsed = _rows(lines, start, delimiter)
    header = next(parsed, None)
    if header is None:
        raise ConfigurationError("the file is empty: its first line must name the columns")
    key_at = _key_at(header, form.key)
    rows = list(parsed)
    census = _census(rows, len(header.cells), key_at)
    return CsvDocument(
        header=header,
        before="".join(lines[:start]),
        rows=rows,
        good=census.good,
        blocked=frozenset(census.blocked),
        unreadable=census.unreadable,
        problems=tuple(census.problems),
        digest=digest,
        delimiter=delimiter,
        encoding=encoding,
        bom=bom,
        key_at=key_at,
    )


def render_row(cells: Sequence[str], delimiter: str, end: str, *, quote_all: bool) -> str:
    """The text of a row."""
    text = delimiter.join(_quoted(cell, delimiter, always=quote_all) for cell in cells)
    # A single empty cell would be a blank line, which is no row.
    return ('""' if not text and len(cells) == 1 else text) + end


def quotes_all(row: Row, delimiter: str) -> bool:
    """Whether the row's own text has every cell in quotes."""
    return bool(row.cells) and row.raw == render_row(row.cells, delimiter, line_end(row.raw), quote_all=True)


def line_end(raw: str) -> str:
    """The line end of a row's text; empty for a last row without one."""
    return next((end for end in ("\r\n", "\n", "\r") if raw.endswith(end)), "")


def _quoted(cell: str, delimiter: str, *, always: bool) -> str:
    if always or delimiter in cell or '"' in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _decode(content: bytes, encoding: str) -> tuple[str, str, bytes]:
    name = codecs.lookup(encoding).name
    name = "utf-8" if name == "utf-8-sig" else name
    bom = b""
    if name == "utf-16":
        name = "utf-16-be" if content.startswith(codecs.BOM_UTF16_BE) else "utf-16-le"
    if name in _BOMS and content.startswith(_BOMS[name][0]):
        bom = _BOMS[name][0]
    body = content[len(bom) :]
    try:
        return body.decode(name), name, bom
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"line {line} is not {encoding}: save the file as UTF-8, or name its encoding (often cp1252 or utf-16)"
        ) from None


def _delimiter(lines: list[str], key: str) -> str:
    """The delimiter under which the header has the key column, or else the most columns; a comma if nothing tells."""
    found = {}
    for delimiter in _DELIMITERS:
        header = next(_rows(lines, 0, delimiter), None)
        cells = header.cells if header else []
        found[delimiter] = (key in cells, len(cells))
    return max(_DELIMITERS, key=lambda delimiter: found[delimiter])


def _rows(lines: list[str], start: int, delimiter: str) -> Iterator[Row]:
    """Rows from a line on. One that breaks the rules of quoting has no cells; reading goes on in the very next line."""
    while start < len(lines):
        reader = csv.reader(map(lines.__getitem__, range(start, len(lines))), delimiter=delimiter, strict=True)
        done = 0
        try:
            for cells in reader:
                raw = "".join(lines[start + done : start + reader.line_num])
                yield Row(cells, raw, start + done + 1)
                done = reader.line_num
            return
        except csv.Error:
            yield Row([], lines[start + done], start + done + 1)
            start += done + 1


def _key_at(header: Row, key: str) -> int:
    names = [name for name in header.cells if name]
    if not header.cells:
        raise ConfigurationError("the header line cannot be read: check its quotes")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"the column {twice!r} is named twice in the header")
    if key not in names:
        near = next((name for name in names if name.strip().lower() == key.strip().lower()), None)
        hint = f"; there is {near!r}" if near else "; the first line must name the columns"
        raise ConfigurationError(f"none of the {len(header.cells)} columns is the key column {key!r}{hint}")
    return header.cells.index(key)


@attrs.define(slots=True)
class _Census:
    """Which rows can be used, and what is wrong with the others."""

    good: dict[str, int] = attrs.Factory(dict)
    blocked: set[str] = attrs.Factory(set)
    unreadable: bool = False
    problems: list[Problem] = attrs.Factory(list)


def _census(rows: Sequence[Row], width: int, key_at: int) -> _Census:
    census = _Census()
    keys = [row.cells[key_at] if key_at < len(row.cells) else "" for row in rows]
    sound = Counter(key for row, key in zip(rows, keys, strict=True) if _fault(row, key, width) is None)
    for number, (row, key) in enumerate(zip(rows, keys, strict=True)):
        if row.blank:
            continue
        problem = _fault(row, key, width) or (_duplicate(row) if sound[key] > 1 else None)
        if problem is None:
            census.good[key] = number
            continue
        census.problems.append(problem)
        census.blocked.add(key)
        # With a cell too many or too few before it, what stands in the key's place may be something else.
        displaced = key_at > 0 and len(row.cells) != width
        census.unreadable = census.unreadable or not key or displaced
    census.blocked -= census.good.keys()
    return census


def _fault(row: Row, key: str, width: int) -> Problem | None:
    path = f"line {row.line}"
    if not row.cells:
        return Problem(path, "broken_row", "the quotes do not add up", "close each quoted cell; double a quote inside")
    if len(row.cells) != width:
        message = f"{len(row.cells)} cells where the header has {width}"
        return Problem(path, "ragged_row", message, "quote cells that contain the delimiter; give every row all cells")
    if not key:
        return Problem(path, "empty_key", "the key is empty", "give the row a key of its own")
    if len(key) > _LONGEST_KEY:
        return Problem(path, "long_key", f"the key is longer than {_LONGEST_KEY} characters", "give it a shorter one")
    return None


def _duplicate(row: Row) -> Problem:
    return Problem(f"line {row.line}", "duplicate_key", "another row has the same key", "give each row its own key")
