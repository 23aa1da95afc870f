"""The contract of a side: describe fields, stream changes, find by key, apply a batch of writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from crmsync.models.calls import CallEstimate, StoreUse
from crmsync.models.problems import Problem
from crmsync.models.records import ChangePage, Operation, Outcome, Record, StoreLimits
from crmsync.models.schema import ObjectSchema


@runtime_checkable
class RecordStore(Protocol):
    """One object of one side. The engine knows nothing else about either side.

    All methods may raise the `ProviderError` family for a failure of the call as a whole; a failure of one record is an
    `Outcome`. Implementations are safe for concurrent calls.
    """

    @property
    def name(self) -> str:
        """The object's name on its side, such as ``Contact``."""
        ...

    @property
    def limits(self) -> StoreLimits:
        """What this side can take."""
        ...

    async def describe(self) -> ObjectSchema:
        """The object's fields as this credential sees them."""
        ...

    async def changes(self, cursor: str | None, *, fields: Sequence[str], limit: int | None = None) -> ChangePage:
        """The next page of created, changed and deleted records after ``cursor`` (None: every record there is).

        A pass is a chain of calls, each with the cursor of the one before, until ``has_more`` is False; the last cursor
        starts the next pass. Within a pass no record that existed throughout is left out, however many share a
        timestamp and whatever ``limit`` is. Between passes the side re-reads its look-back, so a record may come again.
        Cursors carry all state: passes may be abandoned, repeated and interleaved.

        :raises CursorExpiredError: the position is too old; start again with None.
        """
        ...

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """The records with these ids, by the id asked for. Absent: deleted or never there. Any number of ids."""
        ...

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """Every live record whose field equals one of the values (any number; e-mail fields: whatever the case)."""
        ...

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """Every live record that carries one of these external keys; none on a side without external keys."""
        ...

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Apply up to ``limits.write_batch`` operations; one outcome for each, in order.

        One bad row never hinders another, and need not fail for one bad field: see `Outcome.unwritten`. A create with a
        key that exists already updates that record. A create is never sent twice by the store itself unless it carries
        a key.

        :raises TransientError: the call as a whole failed; whether rows took effect is unknown.
        """
        ...


@runtime_checkable
class SupportsProblems(Protocol):
    """A `RecordStore` that can hold records which it cannot hand over, such as the broken rows of a file."""

    def problems(self) -> tuple[Problem, ...]:
        """What was wrong with which of them when the side was last read. They are in no page; they are not deleted."""
        ...


@runtime_checkable
class SupportsJobs(Protocol):
    """A `RecordStore` whose writes may go through jobs that outlive the process (see `JobLog`)."""

    async def settle_jobs(self) -> None:
        """Bring the jobs that an earlier process left behind to an end: what had begun is waited for, the rest aborted.

        Called at the start of a run, before the journal is settled: afterwards nothing is on its way any more.

        :raises TransientError: one does not end; try again later.
        """
        ...


@runtime_checkable
class SupportsCallEstimates(Protocol):
    """A `RecordStore` that can say in advance how many API calls a use of it takes."""

    def estimate(self, use: StoreUse) -> CallEstimate | None:
        """The calls that one call of a method takes, by documented sizes; None if it cannot say. Makes none itself."""
        ...


@runtime_checkable
class SupportsForesight(Protocol):
    """A `RecordStore` that can tell in advance what becomes of writes besides the records themselves."""

    async def foresee(self, operations: Sequence[Operation]) -> Sequence[Problem]:
        """What a plan with these writes should warn of. The paths name settings.

        Reads what the writes would read before they begin, and writes nothing.

        :raises ProviderError: that could not be read.
        """
        ...


@runtime_checkable
class SupportsPrecedence(Protocol):
    """A `RecordStore` over several kinds of record of a person, of which one stands before the other."""

    def foremost(self, records: Sequence[Record]) -> Sequence[Record]:
        """Of records that seem to be one person, those of the kind that comes first.

        A record of another kind is never matched in its place: it is a duplicate of it.
        """
        ...


@runtime_checkable
class SupportsMerges(Protocol):
    """A `RecordStore` that can say which records were merged (or converted) into a given one.

    `changes` tells merges too, but perhaps on a later page than their survivor; a survivor taken for a new record by
    then would bring back a person who was deleted on the other side.
    """

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The tombstones, with ``merged_into``, of the records folded into these, as far as the side still knows:
        directly, or by way of others that were folded into these in their turn.

        They say what they held last of these fields, if the side knows it (see `Record`).
        """
        ...

    async def merged_away(self, ids: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The tombstones of those of these records that were folded into others, as `merged_into` gives them.

        With them come those of the survivors that were folded away in their turn. Records that are there, or that were
        just deleted, are left out. A pass over everything does not tell of merges: this is asked of what it lacked.
        """
        ...
