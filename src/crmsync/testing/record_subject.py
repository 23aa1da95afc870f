"""What the record store contract works with: the store under test, an outsider, and the points to override."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import attrs

from crmsync.models.records import ChangePage, Fields, Operation, OperationKind, Outcome, Record
from crmsync.protocols.records import RecordStore

TEXTS = (
    "O'Brien",
    'say "hi"',
    "back\\slash \\' \\",
    "100% _sure_ *",
    "a;b,c|d",
    "=1+1",
    "NA",
    "null",
    "0",
    "Łukasz Ωmega",
    "\N{GRINNING FACE} \N{FAMILY}\N{ZERO WIDTH JOINER}",
    "שלום עולם",
    "x" * 60,
)
"""Texts that upset careless code: quotes, wildcards, separators, formulas, words for nothing, scripts, emoji."""


class Outsider(Protocol):
    """Another user of the same data, who does not go through the store under test."""

    async def add(self, records: Sequence[Fields]) -> list[str]:
        """Add records all at once, sharing one timestamp where the store has timestamps; their ids in order."""
        ...

    async def add_late(self, fields: Fields) -> str:
        """Make a record visible now whose timestamp is older than what was read, as far back as the store's look-back.

        A side where this cannot happen just adds a record.
        """
        ...

    async def edit(self, record_id: str, fields: Fields) -> None:
        """Change fields of a record."""
        ...

    async def remove(self, record_id: str) -> None:
        """Delete a record."""
        ...

    async def read(self, record_id: str, field: str) -> object:
        """What a field of a live record holds, looked at behind the store's back.

        :raises KeyError: there is no live record with this id.
        """
        ...


@attrs.frozen(slots=True)
class Subject:
    """A freshly opened, empty store, the outsider, and a second store over the same data (None: open no second one)."""

    store: RecordStore
    outside: Outsider
    other: RecordStore | None = None

    @property
    def second(self) -> RecordStore:
        """The second store, or the first again."""
        return self.other or self.store


@attrs.frozen(slots=True)
class Pass:
    """A whole pass: every record in the order delivered, the cursor for the next one, how it ended."""

    records: list[Record]
    cursor: str | None
    complete_scan: bool
    sizes: list[int]

    def newest(self) -> dict[str, Record]:
        """The last state delivered of each record."""
        return {record.id: record for record in self.records}

    def live_ids(self) -> set[str]:
        """The ids of those not deleted in their last state."""
        return {record.id for record in self.newest().values() if not record.deleted}


async def read_pass(
    store: RecordStore, cursor: str | None, fields: Sequence[str], limit: int | None = None, pages: int = 400
) -> Pass:
    """Read until ``has_more`` is False; fails if that takes more than ``pages`` pages."""
    records: list[Record] = []
    sizes: list[int] = []
    while len(sizes) < pages:
        page = await store.changes(cursor, fields=fields, limit=limit)
        records += page.records
        sizes.append(len(page.records))
        cursor = page.cursor
        if not page.has_more:
            return Pass(records, cursor, page.complete_scan, sizes)
        assert not page.complete_scan, "a page with more after it completes no scan"
    raise AssertionError(f"the pass did not end after {pages} pages")


async def first_page(store: RecordStore, fields: Sequence[str], limit: int) -> ChangePage:
    """The first page of a pass over everything that has records: those before it may only move the position."""
    page = await store.changes(None, fields=fields, limit=limit)
    while page.has_more and not page.records:
        page = await store.changes(page.cursor, fields=fields, limit=limit)
    return page


class RecordStoreSetting:
    """Subclass, give a ``subject`` fixture, and override what differs: names of fields, ids, values."""

    text_field: ClassVar[str] = "name"
    """A text field of at least 60 characters that a create may set and an update may change and clear."""
    email_field: ClassVar[str] = "email"
    """An e-mail field."""
    texts: ClassVar[Sequence[str]] = TEXTS
    """Texts that the text field keeps as they are."""
    typed_values: ClassVar[Mapping[str, Sequence[object]]] = {}
    """More fields, with values that they keep as they are."""
    limits_tried: ClassVar[Sequence[int | None]] = (1, 2, 3, None)
    """Page sizes; the tests work with 7 records that share a timestamp."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields asked for."""
        return (self.text_field, self.email_field, *self.typed_values)

    def make_fields(self, number: int) -> dict[str, object]:
        """Valid fields of the n-th record; different for each."""
        return {self.text_field: f"Person {number}", self.email_field: f"person{number}@example.com"}

    def make_id(self, number: int) -> str:
        """An id that a create may choose, on a store that accepts ids."""
        return f"chosen-{number}"

    def make_key(self, number: int) -> str:
        """An external key, on a store that has them."""
        return f"key-{number}"

    def unknown_id(self, number: int) -> str:
        """An id that no record has, in the store's form."""
        return f"nobody-{number}"

    def bad_operation(self, store: RecordStore, op_id: str) -> Operation:
        """An operation that the store must refuse without hindering its neighbours."""
        create = self.create(store, 900, op_id)
        return attrs.evolve(create, fields={**create.fields, self.text_field: object()})

    def create(self, store: RecordStore, number: int, op_id: str | None = None) -> Operation:
        """The creation of the n-th record, in the best way that the store offers."""
        limits = store.limits
        return Operation(
            op_id or f"create-{number}",
            OperationKind.CREATE,
            self.make_id(number) if limits.accepts_ids else None,
            key=self.make_key(number) if limits.external_key and not limits.accepts_ids else None,
            fields=self.make_fields(number),
        )

    def update(self, record_id: str, fields: Fields, op_id: str = "update") -> Operation:
        """An update of some fields."""
        return Operation(op_id, OperationKind.UPDATE, record_id, fields=fields)

    async def seven(self, subject: Subject) -> list[str]:
        """Seven records that share a timestamp."""
        return await subject.outside.add([self.make_fields(number) for number in range(7)])


async def write_all(store: RecordStore, operations: Sequence[Operation]) -> list[Outcome]:
    """Write in batches that the store takes."""
    size = store.limits.write_batch
    outcomes: list[Outcome] = []
    for start in range(0, len(operations), size):
        outcomes += await store.write(operations[start : start + size])
    return outcomes


def ids_of(outcomes: Sequence[Outcome]) -> list[str]:
    """The ids of operations that must all have succeeded."""
    failed = [str(outcome.error) for outcome in outcomes if not outcome.ok]
    assert not failed, failed
    return [str(outcome.id) for outcome in outcomes]
