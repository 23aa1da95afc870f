"""Operations applied to a parsed CSV file, row by row, touching no cell that an operation does not name."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from crmsync.errors import ConversionError, CRMError, RejectedError
from crmsync.models.records import MISSING, Operation, OperationKind, Outcome, OutcomeStatus, Record
from crmsync.models.schema import FieldType
from crmsync.storage.cells import boolean_words, format_value, is_boolean_word, parse_cell
from crmsync.storage.csv_file import CsvDocument, Row, line_end, quotes_all, render_row

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_KEY: Final = 64


@attrs.frozen(slots=True)
class CellCodec:
    """How cells and values correspond: declared types by column (text otherwise), the separator of set elements.

    ``escape_formulas`` puts an apostrophe before text that a spreadsheet would compute, and takes it off on reading.
    """

    types: Mapping[str, FieldType] = attrs.field(factory=dict)
    separator: str = ";"
    escape_formulas: bool = False

    def value(self, column: str, cell: str) -> object:
        """The value of a cell."""
        if self.escape_formulas and cell.startswith("'") and cell[1:].startswith(_FORMULA_STARTS):
            cell = cell[1:]
        kind = self.types.get(column)
        return (cell or None) if kind is None else parse_cell(cell, kind, self.separator)

    def cell(self, column: str, value: object, word: str = "") -> str:
        """The cell for a value; a truth value as a word of the same kind as ``word``.

        :raises ConversionError: a value that no cell holds.
        """
        if isinstance(value, bool):
            return boolean_words(word)[not value]
        text = format_value(value, column, self.separator)
        escaped = self.escape_formulas and isinstance(value, str) and text.startswith(_FORMULA_STARTS)
        return f"'{text}" if escaped else text


def read_record(document: CsvDocument, codec: CellCodec, key: str, row: Row, fields: Sequence[str] | None) -> Record:
    """A row as a record with the fields that the file has; None asks for all."""
    places = {name: at for at, name in enumerate(document.columns) if name}
    wanted = places if fields is None else [name for name in fields if name in places]
    values = {name: codec.value(name, row.cells[places[name]]) for name in wanted}
    # Trailing blanks say nothing, so a column that is added to the file changes no record's version.
    told = "\x1f".join(row.cells).rstrip("\x1f")
    version = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return Record(id=key, fields=values, version=version)


class CsvEdit:
    """Operations on one document. The document stays as it is; `content` is what it becomes."""

    def __init__(self, document: CsvDocument, codec: CellCodec) -> None:
        self._document = document
        self._codec = codec
        self._rows: list[Row | None] = list(document.rows)
        self._at = dict(document.good)
        self._columns = list(document.columns)
        self._added: list[str] = []
        self._told: dict[str, str] = {}
        self._changed = False
        self._quote_all = quotes_all(document.header, document.delimiter)

    @property
    def changed(self) -> bool:
        """Whether any operation changed a cell."""
        return self._changed

    def apply(self, operation: Operation) -> Outcome:
        """Carry out one operation; a failure is an outcome and leaves no trace."""
        try:
            status, key = self._apply(operation)
        except CRMError as refused:
            return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, refused)
        return Outcome(operation.op_id, status, key)

    def with_stored(self, outcome: Outcome) -> Outcome:
        """The outcome with the record as it now is in the file."""
        row = self._rows[self._at[outcome.id]] if outcome.ok and outcome.id in self._at else None
        if row is None or outcome.id is None:
            return outcome
        final = attrs.evolve(self._document, header=attrs.evolve(self._document.header, cells=self._columns))
        padded = attrs.evolve(row, cells=row.cells + [""] * (len(self._columns) - len(row.cells)))
        return attrs.evolve(outcome, stored=read_record(final, self._codec, outcome.id, padded, None))

    def content(self) -> bytes:
        """The whole file after the operations."""
        document = self._document
        header, rows = document.header, self._rows
        if self._added:
            header = self._widened(header)
            good = set(self._at.values())
            rows = [self._widened(row) if at in good and row else row for at, row in enumerate(rows)]
        ended = [row for row in [header, *rows] if row is not None]
        ended[:-1] = [self._ended(row) for row in ended[:-1]]
        return document.encode(ended[0], ended[1:])

    def _ended(self, row: Row) -> Row:
        """The row with a line end, which the last row of a file may lack."""
        return row if line_end(row.raw) else attrs.evolve(row, raw=row.raw + self._document.line_end)

    def _apply(self, operation: Operation) -> tuple[OutcomeStatus, str | None]:
        key = operation.id
        if operation.kind is OperationKind.CREATE:
            key = self._new_key(operation)
        elif not key:
            raise RejectedError("an update or delete needs an id", code="no_id")
        self._check_usable(str(key), creating=operation.kind is OperationKind.CREATE)
        at = self._at.get(str(key))
        if at is None:
            if operation.kind is OperationKind.CREATE:
                return self._create(operation, str(key)), key
            return OutcomeStatus.MISSING, key
        if operation.kind is OperationKind.DELETE:
            del self._at[str(key)]
            self._rows[at] = None
            self._changed = True
            return OutcomeStatus.DELETED, key
        self._update(operation, str(key), at)
        return OutcomeStatus.UPDATED, key

    def _new_key(self, operation: Operation) -> str:
        given = operation.id or operation.key or operation.fields.get(self._document.columns[self._document.key_at])
        key = str(given) if given else str(uuid.uuid4())
        if len(key) > _LONGEST_KEY:
            raise RejectedError(f"an id has up to {_LONGEST_KEY} characters", code="long_key")
        self._check_encodable(key, self._document.columns[self._document.key_at])
        return key

    def _check_usable(self, key: str, *, creating: bool) -> None:
        if key in self._document.blocked:
            raise RejectedError("the file's rows of this key are broken or duplicates", code="bad_row")
        # What looks gone may be a row whose key cannot be read; to say "missing" would let it be taken for deleted.
        if self._document.unreadable and not creating and key not in self._document.good:
            raise RejectedError("the row may be one of the file's broken ones", code="bad_row")

    def _create(self, operation: Operation, key: str) -> OutcomeStatus:
        cells = self._cells(operation, key, None)
        self._at[key] = len(self._rows)
        self._rows.append(self._rendered(cells, None, self._document.line_end))
        self._changed = True
        return OutcomeStatus.CREATED

    def _update(self, operation: Operation, key: str, at: int) -> None:
        row = self._rows[at]
        assert row is not None
        cells = self._cells(operation, key, row)
        if cells != row.cells:
            self._rows[at] = self._rendered(cells, row, line_end(row.raw))
            self._changed = True

    def _cells(self, operation: Operation, key: str, row: Row | None) -> list[str]:
        """The row's cells with the operation's values; where a cell says the value already, it stays as it is."""
        key_column = self._document.columns[self._document.key_at]
        new: dict[str, str] = {}
        for column, value in operation.fields.items():
            if value is MISSING:
                continue
            if column == key_column:
                if str(value) != key:
                    raise RejectedError("the key of a row never changes", code="key_is_fixed", field=column)
                continue
            self._check_column(column)
            old = self._cell(row, column)
            if row is not None and _same(self._codec.value(column, old), value):
                continue
            word = (old if is_boolean_word(old) else self._sample(column)) if isinstance(value, bool) else ""
            new[column] = self._codec.cell(column, value, word)
            self._check_encodable(new[column], column)
        for column in new:
            if column not in self._columns:
                self._columns.append(column)
                self._added.append(column)
        cells = [new.get(column, self._cell(row, column)) for column in self._columns]
        cells[self._document.key_at] = key
        if row is not None and self._added and len(row.cells) < len(cells) and not any(cells[len(row.cells) :]):
            return cells[: len(row.cells)]
        return cells

    def _cell(self, row: Row | None, column: str) -> str:
        at = self._columns.index(column) if row is not None and column in self._columns else -1
        return row.cells[at] if row is not None and 0 <= at < len(row.cells) else ""

    def _sample(self, column: str) -> str:
        """The first cell of a column that is a word for a truth value; empty if there is none."""
        if column not in self._told:
            document = self._document
            at = document.columns.index(column) if column in document.columns else None
            rows = () if at is None else (document.rows[number].cells[at] for number in document.good.values())
            self._told[column] = next((cell for cell in rows if is_boolean_word(cell)), "")
        return self._told[column]

    def _check_column(self, column: str) -> None:
        if column in self._columns:
            return
        if not column:
            raise RejectedError("a column needs a name", code="unknown_field", field=column)
        self._check_encodable(column, column)
        if any(len(row.cells) > len(self._document.columns) for row in self._document.rows):
            # With one more column, a row that has a cell too many would no longer be seen to be broken.
            raise RejectedError(
                "the file has no such column, and none can be added while rows have too many cells",
                code="unknown_field",
                field=column,
            )

    def _check_encodable(self, text: str, column: str) -> None:
        try:
            text.encode(self._document.encoding)
        except UnicodeEncodeError:
            message = f"the file's encoding, {self._document.encoding}, lacks a character of the value"
            raise ConversionError(message, code="encoding", field=column) from None

    def _rendered(self, cells: list[str], row: Row | None, end: str) -> Row:
        delimiter = self._document.delimiter
        style = quotes_all(row, delimiter) if row is not None and row.raw else self._quote_all
        return Row(cells, render_row(cells, delimiter, end, quote_all=style), row.line if row else 0)

    def _widened(self, row: Row) -> Row:
        """The row with blank cells (or, for the header, names) for the added columns; its own text stays."""
        is_header = row is self._document.header
        missing = self._columns[len(row.cells) :]
        if not missing:
            return row
        tail = missing if is_header else [""] * len(missing)
        end = line_end(row.raw)
        style = quotes_all(row, self._document.delimiter)
        cells = render_row(tail, self._document.delimiter, "", quote_all=style)
        if not is_header and len(missing) == 1 and not style:
            cells = ""
        return Row([*row.cells, *tail], row.raw.removesuffix(end) + self._document.delimiter + cells + end, row.line)


def _same(old: object, new: object) -> bool:
    """Whether two values are the same in kind and content; 1, True and 1.0 differ."""
    return type(old) is type(new) and old == new
