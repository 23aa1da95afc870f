"""Writes to the rows of a table: many in a few statements, and one at a time where the table refuses one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import sqlalchemy as sa

from crmsync.errors import RejectedError
from crmsync.models.records import MISSING, Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.storage.sql.statements import parts
from crmsync.storage.sql.table_shape import TableShape

_FEW: Final = 4
"""Up to so many rows are written one at a time: looking for one that is refused, there is nothing to gain by halves."""


class _OtherwiseError(Exception):
    """What is true of all rows together does not tell what became of each."""


@attrs.frozen(slots=True)
class _Row:
    """An operation with the id of its row and its cells."""

    operation: Operation
    id: str
    cells: Mapping[str, Any]

    def outcome(self, status: OutcomeStatus) -> Outcome:
        return Outcome(self.operation.op_id, status, self.id)


class TableWriter:
    """Applies operations in a transaction that its caller has begun."""

    def __init__(self, shape: TableShape) -> None:
        self._shape = shape
        self._table = shape.table
        self._key = shape.key
        name = "row_id"
        while name in shape.table.c:
            name += "_"
        self._id = name

    def apply(self, connection: sa.Connection, operations: Sequence[Operation]) -> list[Outcome]:
        """One outcome for each, in order. A row that the table refuses hinders no other."""
        outcomes: dict[int, Outcome] = {}
        rows: dict[int, _Row] = {}
        now = datetime.now(UTC)
        for place, operation in enumerate(operations):
            made = self._row(operation, now)
            if isinstance(made, _Row):
                rows[place] = made
            else:
                outcomes[place] = made
        outcomes.update(zip(rows, self._applied(connection, list(rows.values()), now), strict=True))
        return [outcomes[place] for place in range(len(operations))]

    def _row(self, operation: Operation, now: datetime) -> _Row | Outcome:
        record_id = operation.id or operation.key
        unknown = next((name for name in operation.fields if name not in self._table.c), None)
        if record_id is None or unknown is not None:
            error = RejectedError("the table has no such column, or the row no id", code="unknown_field", field=unknown)
            return Outcome(operation.op_id, OutcomeStatus.FAILED, record_id, error)
        shape = self._shape
        cells = {name: shape.cell(name, value) for name, value in operation.fields.items() if value is not MISSING}
        if shape.layout.updated_at:
            cells[shape.layout.updated_at] = shape.native(now)
        return _Row(operation, record_id, cells)

    def _applied(self, connection: sa.Connection, rows: Sequence[_Row], now: datetime) -> list[Outcome]:
        if len(rows) <= _FEW or not _independent(rows):
            return [self._alone(connection, row, now) for row in rows]
        try:
            with connection.begin_nested():
                return self._together(connection, rows)
        except (_OtherwiseError, sa.exc.StatementError, OverflowError) as error:
            _reraise_if_lost(error)
        middle = len(rows) // 2
        halves = (rows[:middle], rows[middle:])
        return [outcome for half in halves for outcome in self._applied(connection, half, now)]

    # --- all in a few statements

    def _together(self, connection: sa.Connection, rows: Sequence[_Row]) -> list[Outcome]:
        created = [row.id for row in rows if row.operation.kind is OperationKind.CREATE]
        there = set(self._found(connection, [], created))
        statuses: dict[str, OutcomeStatus] = {}
        groups: dict[tuple[bool, bool, tuple[str, ...]], list[dict[str, Any]]] = {}
        for row in rows:
            creates = row.operation.kind is OperationKind.CREATE
            inserts = creates and row.id not in there
            cells = {**row.cells, **self._revived()} if creates and not inserts else row.cells
            statuses[row.id] = OutcomeStatus.CREATED if inserts else OutcomeStatus.UPDATED
            own_id = {self._key.name if inserts else self._id: row.id}
            groups.setdefault((inserts, creates, tuple(cells)), []).append({**cells, **own_id})
        for (inserts, creates, _), cells_of in groups.items():
            if inserts:
                connection.execute(sa.insert(self._table), cells_of)
            else:
                self._update(connection, cells_of, alive=() if creates else self._shape.alive())
        return self._read_back(connection, rows, statuses)

    def _update(
        self, connection: sa.Connection, cells_of: list[dict[str, Any]], alive: tuple[sa.ColumnElement[bool], ...]
    ) -> None:
        if len(cells_of[0]) == 1:  # the id alone
            raise _OtherwiseError
        statement = sa.update(self._table).where(self._key == sa.bindparam(self._id), *alive)
        if connection.execute(statement, cells_of).rowcount != len(cells_of):
            raise _OtherwiseError

    def _read_back(
        self, connection: sa.Connection, rows: Sequence[_Row], statuses: Mapping[str, OutcomeStatus]
    ) -> list[Outcome]:
        fields = list(dict.fromkeys(name for row in rows for name in row.operation.fields))
        found = self._found(connection, fields, [row.id for row in rows])
        if len(found) < len(rows):  # a trigger's doing, or a key that the table spells in its own way
            raise _OtherwiseError
        read = self._shape.reader(fields, by_self=True)
        outcomes = []
        for row in rows:
            stored = read(found[row.id])
            if len(row.operation.fields) < len(fields):
                own = {name: stored.fields[name] for name in row.operation.fields}
                stored = attrs.evolve(stored, fields=own)
            outcomes.append(Outcome(row.operation.op_id, statuses[row.id], row.id, stored=stored))
        return outcomes

    def _found(self, connection: sa.Connection, fields: Sequence[str], ids: Sequence[str]) -> dict[str, Sequence[Any]]:
        """The rows of these ids, as `TableShape.select` gives them."""
        wanted = set(ids)
        query = self._shape.select(fields)
        rows = (row for part in parts(ids) for row in connection.execute(query.where(self._key.in_(part))))
        return {record_id: row for row in rows if (record_id := str(row[0])) in wanted}

    # --- one row

    def _alone(self, connection: sa.Connection, row: _Row, now: datetime) -> Outcome:
        try:
            with connection.begin_nested():
                return self._one(connection, row, now)
        except (sa.exc.StatementError, OverflowError) as error:
            _reraise_if_lost(error)
            refused = RejectedError(f"the table refuses the row ({type(error).__name__})", code="refused")
            return attrs.evolve(row.outcome(OutcomeStatus.FAILED), error=refused)

    def _one(self, connection: sa.Connection, row: _Row, now: datetime) -> Outcome:
        operation, where, status = row.operation, self._key == row.id, OutcomeStatus.UPDATED
        if operation.kind is OperationKind.DELETE:
            return self._deleted(connection, row, now)
        if operation.kind is OperationKind.UPDATE:
            update = sa.update(self._table).where(where, *self._shape.alive()).values(row.cells)
            if connection.execute(update).rowcount == 0 and row.cells:
                return row.outcome(OutcomeStatus.MISSING)
        else:
            status = self._created(connection, row)
        fields = list(operation.fields)
        stored = connection.execute(self._shape.select(fields).where(where)).first()
        record = None if stored is None else self._shape.reader(fields, by_self=True)(stored)
        return attrs.evolve(row.outcome(status), stored=record)

    def _created(self, connection: sa.Connection, row: _Row) -> OutcomeStatus:
        """A repeated create finds its earlier attempt by the id."""
        where = self._key == row.id
        if connection.execute(sa.select(self._key).where(where)).first():
            connection.execute(sa.update(self._table).where(where).values({**row.cells, **self._revived()}))
            return OutcomeStatus.UPDATED
        connection.execute(sa.insert(self._table).values({self._key.name: row.id, **row.cells}))
        return OutcomeStatus.CREATED

    def _deleted(self, connection: sa.Connection, row: _Row, now: datetime) -> Outcome:
        where, deleted_at = (self._key == row.id, *self._shape.alive()), self._shape.layout.deleted_at
        if deleted_at:
            gone = {**row.cells, deleted_at: self._shape.native(now, deleted_at)}
            result = connection.execute(sa.update(self._table).where(*where).values(gone))
        else:
            result = connection.execute(sa.delete(self._table).where(*where))
        return row.outcome(OutcomeStatus.DELETED if result.rowcount else OutcomeStatus.MISSING)

    def _revived(self) -> dict[str, None]:
        return {self._shape.layout.deleted_at: None} if self._shape.layout.deleted_at else {}


def _independent(rows: Sequence[_Row]) -> bool:
    """Whether the order does not matter: each is another row, and none is deleted."""
    return len({row.id for row in rows}) == len(rows) and all(
        row.operation.kind is not OperationKind.DELETE for row in rows
    )


def _reraise_if_lost(error: Exception) -> None:
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        raise error
