"""A CSV file as a side of a sync.

The file is scanned: it has no change feed, so unchanged rows are dropped by their sync hash, and a row that is gone
shows by its absence from a complete scan. It is written whole and atomically (a new file takes the place of the old
one), and everything that is not meant to change stays byte for byte: other cells and columns, broken rows, the order,
the quoting, the line ends, the encoding, a byte order mark, the file's mode.

Values are data: a cell ``=1+1`` is this text and is written as this text. A spreadsheet that opens the file may compute
it; ``escape_formulas=True`` guards cells against that. The longest cell has `csv.field_size_limit()` characters.
"""

from __future__ import annotations

import codecs
import json
import threading
from bisect import bisect_right
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import anyio.to_thread
import attrs

from crmsync.errors import (
    AccessDeniedError,
    ConfigurationError,
    CursorExpiredError,
    SchemaChangedError,
    UnavailableError,
)
from crmsync.models.problems import Problem
from crmsync.models.records import ChangePage, Operation, Outcome, Record, StoreLimits
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.storage.cells import parse_types
from crmsync.storage.csv_edit import CellCodec, CsvEdit, read_record
from crmsync.storage.csv_file import CsvDocument, CsvFormat, parse_csv
from crmsync.storage.whole_file import WholeFile

_LIMITS = StoreLimits(write_batch=2000, read_page=2000, find_batch=10_000, change_feed=False, accepts_ids=True)
_ATTEMPTS = 20
_EMAIL_NAMES = frozenset({"email", "emailaddress"})


@attrs.frozen(slots=True)
class _Position:
    """What a cursor says.

    ``content`` is the digest of the file while it stayed the same since the start of the pass, else empty; ``ids`` that
    of the ids at the start while they stayed the same, else empty; ``after`` the last id read, None between passes.
    """

    content: str
    ids: str = ""
    after: str | None = None

    def encode(self) -> str:
        return json.dumps([self.content, self.ids, self.after], separators=(",", ":"))

    @classmethod
    def decode(cls, cursor: str) -> _Position:
        try:
            content, ids, after = json.loads(cursor)
        except (ValueError, TypeError):
            content = ids = after = 0
        if not isinstance(content, str) or not isinstance(ids, str) or not isinstance(after, str | None):
            raise CursorExpiredError("the cursor is not one of a CSV file's; read from the start") from None
        return cls(content, ids, after)


class _Loaded:
    """A parsed file with what reading needs: ids in order, digests, an index for each column asked for."""

    def __init__(self, document: CsvDocument, settings: str) -> None:
        self.document = document
        self.ids = sorted(document.good)
        self.content = sha256(f"{settings}{document.digest}".encode()).hexdigest()[:32]
        self.ids_digest = sha256("\x00".join(self.ids).encode()).hexdigest()[:32]
        self._indexes: dict[tuple[str, bool], dict[str, list[str]]] = {}

    def index(self, column: str, *, lower: bool) -> dict[str, list[str]]:
        """The ids of the rows that have each text in a column."""
        known = self._indexes.get((column, lower))
        if known is not None:
            return known
        at = self.document.columns.index(column)
        index: dict[str, list[str]] = {}
        for id_, number in self.document.good.items():
            cell = self.document.rows[number].cells[at]
            index.setdefault(cell.lower() if lower else cell, []).append(id_)
        self._indexes[column, lower] = index
        return index


class CsvRecordStore:
    """A `RecordStore` over one CSV file whose column ``key`` identifies the rows; made by `open_records`.

    Ids are the key column's text. A cell is text unless its column has a declared type; an empty cell is None; a cell
    that does not fit its type stays text, for the mapping to report. A field without a column is MISSING on reading and
    gets a column, at the end, on writing. A write that meets another program's save starts again on what that program
    saved. Rows that are broken, or share their key with another, are left out, kept in the file as they are, and told
    by `problems`; while there are any, no scan counts as complete.
    """

    def __init__(self, file: WholeFile, form: CsvFormat, codec: CellCodec, name: str) -> None:
        self._file = file
        self._form = form
        self._codec = codec
        self._name = name
        self._settings = repr((form.key, sorted(codec.types.items()), codec.separator, codec.escape_formulas))
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def __repr__(self) -> str:
        return f"<CsvRecordStore {self._name!r}: {self._file.path}>"

    @property
    def name(self) -> str:
        return self._name

    @property
    def limits(self) -> StoreLimits:
        return _LIMITS

    def problems(self) -> tuple[Problem, ...]:
        """The bad rows of the file as it was last read; ``path`` is ``line 7``."""
        return self._loaded.document.problems if self._loaded else ()

    async def open(self) -> None:
        """Read the file for the first time.

        :raises ConfigurationError: it cannot be used at all.
        """
        try:
            await anyio.to_thread.run_sync(self._parse_again)
        except (ConfigurationError, UnavailableError, AccessDeniedError) as error:
            raise ConfigurationError(f"{self._file.path}: {error.message}") from None

    async def describe(self) -> ObjectSchema:
        """The columns of the file, text but for the declared types; open, for a column can be added."""
        loaded = await self._load()
        fields = tuple(self._describe_column(name) for name in loaded.document.columns if name)
        return ObjectSchema(name=self._name, fields=fields, open=True)

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """A scan in order of id. A file that is as it was when the cursor was made gives one empty page."""
        if limit is not None and limit < 1:
            raise ValueError("a page has at least one record")
        position = None if cursor is None else _Position.decode(cursor)
        loaded = await self._load()
        if position is None or position.after is None:
            if position is not None and position.content == loaded.content:
                return ChangePage((), cursor, has_more=False, total=0)
            position = _Position(loaded.content, loaded.ids_digest, "")
        size = min(limit or _LIMITS.read_page, _LIMITS.read_page)
        start = bisect_right(loaded.ids, position.after or "")
        ids = loaded.ids[start : start + size]
        has_more = start + size < len(loaded.ids)
        content = position.content if position.content == loaded.content else ""
        same_ids = position.ids == loaded.ids_digest
        end = _Position(content, position.ids if same_ids else "", ids[-1]) if has_more else _Position(content)
        return ChangePage(
            records=tuple(self._record(loaded, id_, fields) for id_ in ids),
            cursor=end.encode(),
            has_more=has_more,
            # The same ids on every page of a scan in order of id: each was delivered, and no other exists.
            complete_scan=not has_more and same_ids and not loaded.document.problems,
            total=len(loaded.ids),
        )

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        loaded = await self._load()
        known = loaded.document.good
        return {id_: self._record(loaded, id_, fields) for id_ in dict.fromkeys(ids) if id_ in known}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """Rows whose cell is one of the texts; whatever the case in a column of type e-mail, or named so."""
        loaded = await self._load()
        if field not in loaded.document.columns or not field:
            return []
        lower = self._is_email(field)
        index = loaded.index(field, lower=lower)
        wanted = dict.fromkeys(value.lower() if lower else value for value in values if value)
        found = dict.fromkeys(id_ for value in wanted for id_ in index.get(value, ()))
        return [self._record(loaded, id_, fields) for id_ in found]

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """Rows by id: a file has no other key."""
        return list((await self.get(keys, fields=fields)).values())

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """All that can be done is in the file when this returns; if it raises, the file is as it was."""
        return await anyio.to_thread.run_sync(self._write, tuple(operations))

    def _write(self, operations: Sequence[Operation]) -> list[Outcome]:
        with self._lock, self._file.locked():
            for _ in range(_ATTEMPTS):
                loaded = self._parse()
                edit = CsvEdit(loaded.document, self._codec)
                outcomes = [edit.apply(operation) for operation in operations]
                if not edit.changed or self._file.replace(edit.content(), loaded.document.digest):
                    return [edit.with_stored(outcome) for outcome in outcomes]
        raise UnavailableError("the file is being saved by another program all the time; nothing was written")

    async def _load(self) -> _Loaded:
        return await anyio.to_thread.run_sync(self._parse)

    def _parse(self) -> _Loaded:
        try:
            return self._parse_again()
        except ConfigurationError as error:
            raise SchemaChangedError(error.message) from None

    def _parse_again(self) -> _Loaded:
        loaded = self._loaded
        content, digest = self._file.read(loaded.document.digest if loaded else "")
        if loaded is None or content is not None:
            loaded = _Loaded(parse_csv(content or b"", digest, self._form), self._settings)
            self._loaded = loaded
        return loaded

    def _record(self, loaded: _Loaded, id_: str, fields: Sequence[str]) -> Record:
        row = loaded.document.rows[loaded.document.good[id_]]
        return read_record(loaded.document, self._codec, id_, row, fields)

    def _describe_column(self, name: str) -> FieldSchema:
        if name == self._form.key:
            return FieldSchema(
                name=name, type=FieldType.ID, required=True, nillable=False, unique=True, updateable=False
            )
        kind = self._codec.types.get(name) or (FieldType.EMAIL if self._is_email(name) else FieldType.TEXT)
        return FieldSchema(name=name, type=kind, separator=self._codec.separator if kind.set_valued else None)

    def _is_email(self, column: str) -> bool:
        declared = self._codec.types.get(column)
        plain = "".join(letter for letter in column.lower() if letter.isalnum())
        return declared is FieldType.EMAIL or (declared is None and plain in _EMAIL_NAMES)


@asynccontextmanager
async def open_records(
    *,
    path: str | Path,
    key: str = "id",
    encoding: str = "utf-8",
    delimiter: str | None = None,
    types: Mapping[str, str] | None = None,
    separator: str = ";",
    name: str = "subscribers",
    escape_formulas: bool = False,
) -> AsyncIterator[CsvRecordStore]:
    """Open a CSV file as a record store.

    ``delimiter`` None: found from the header, a comma if nothing tells. ``types`` are `FieldType`s (or their names) by
    column; ``separator`` splits cells of set-valued types.

    :raises ConfigurationError: the file is missing, not in the encoding, has no header or no key column, or a setting
        is unusable.
    """
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise ConfigurationError(f"there is no encoding {encoding!r}") from None
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ConfigurationError("a delimiter is one character, and neither a quote nor a line end")
    if not separator:
        raise ConfigurationError("the separator of set elements is empty")
    codec = CellCodec(parse_types(types or {}), separator, escape_formulas)
    store = CsvRecordStore(WholeFile(Path(path)), CsvFormat(key, encoding, delimiter), codec, name)
    await store.open()
    yield store
