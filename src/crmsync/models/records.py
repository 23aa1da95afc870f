"""Records as a side hands them over, the writes asked of a side, and what became of each."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import attrs

from crmsync.errors import CRMError, RecordError
from crmsync.models.immutable import frozen_value


class Missing(enum.Enum):
    """The type of `MISSING`."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> Literal[False]:
        return False


MISSING: Final = Missing.MISSING
"""The side did not return the field (not asked, no permission). Never a change; `None` is "cleared"."""


class Unlinked(str):
    """An id of a side's own that a reference holds, where the record it leads to is linked to none on the other side.

    It is compared like any id, and never converted: the field waits until there is a link.
    """

    __slots__ = ()


Fields: TypeAlias = Mapping[str, object]
"""Field values by name, in the side's own form: str, bool, int, float, Decimal, date, aware datetime, time, timedelta,
None, a tuple of str for a set-valued field, or a dict of its parts for a compound. An absent key means MISSING."""


class Side(enum.StrEnum):
    """The two record systems of a sync: `LOCAL` is the application (MarkMail), `REMOTE` the CRM."""

    LOCAL = "local"
    REMOTE = "remote"

    @property
    def other(self) -> Side:
        """The opposite side."""
        return Side.REMOTE if self is Side.LOCAL else Side.LOCAL


SIDES: Final = (Side.LOCAL, Side.REMOTE)
"""Both, for what is done for each record: to go over an enumeration takes ten times as long."""


@frozen_value
class Record:
    """One record as its side returned it.

    ``key`` is the external key it carries (on the remote side the ``markmail_id`` written there). ``modified_at`` is
    aware UTC in the side's precision. ``version`` changes whenever the record does, if the side has such a thing.
    ``modified_by`` names who made the last change, in the side's own words, None when unknown; ``modified_by_self`` is
    True when it was made with our own credential, None when unknown.
    ``merged_into`` names the surviving record when a merge deleted this one. The ``fields`` of such a record may hold
    what it held at the end: an opt-out that the survivor need not have, and edits that live on in the survivor.
    """

    id: str
    fields: Fields = attrs.field(factory=dict, repr=False)
    key: str | None = None
    modified_at: datetime | None = None
    version: str | None = None
    modified_by: str | None = None
    modified_by_self: bool | None = None
    deleted: bool = False
    merged_into: str | None = None


@attrs.frozen(slots=True)
class ChangePage:
    """One page of changes.

    ``cursor`` is the position after this page: store it only once all its records are acknowledged. ``has_more`` False
    ends the pass. ``complete_scan`` is True on the last page of a pass that enumerated every record of the side and
    whose count was verified: only then does absence mean deletion. A page may be empty and still have more after it.
    ``total`` is the number of records of the pass, if the side knows it.
    """

    records: tuple[Record, ...]
    cursor: str | None
    has_more: bool
    complete_scan: bool = False
    total: int | None = None


class OperationKind(enum.StrEnum):
    """What is asked of a side for one record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


NO_KEY: Final = ""
"""The external key of an update that leaves the record without one."""


@frozen_value
class Operation:
    """One write, of changed fields only.

    ``op_id`` is unique within the run. ``id`` is the record's id on the side that is written: required for update and
    delete; for a create on a side that accepts ids it is the id to use. ``key`` is the external key to store with the
    record: a create with a key finds its own earlier attempt instead of making a second record; None leaves the one
    that it has, and `NO_KEY` in an update takes it away. ``held`` are the record's fields as they were when the write
    was decided, where they were read: a computed field changes only a part.
    """

    op_id: str
    kind: OperationKind
    id: str | None
    key: str | None = None
    fields: Fields = attrs.field(factory=dict, repr=False)
    held: Fields = attrs.field(factory=dict, repr=False, eq=False)


class OutcomeStatus(enum.StrEnum):
    """What became of one operation. `MISSING` means that the record to update or delete does not exist (any more)."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    MISSING = "missing"
    FAILED = "failed"


_WITHOUT_EFFECT: Final = (OutcomeStatus.FAILED, OutcomeStatus.MISSING)


@frozen_value
class Outcome:
    """What became of one operation; a write returns one for each operation, in order.

    ``stored`` holds the record as the side stored it, if the side can say so with certainty (nobody else's later edit
    mixed in). A `TransientError` as ``error`` means that this row may be sent again. ``unwritten`` are the fields that
    were left as they are while the rest of the record was written, each named by its error; they are tried again.
    """

    op_id: str
    status: OutcomeStatus
    id: str | None = None
    error: CRMError | None = None
    stored: Record | None = None
    unwritten: tuple[RecordError, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the operation took effect."""
        return self.status not in _WITHOUT_EFFECT


@attrs.frozen(slots=True)
class StoreLimits:
    """What a side can take, as data.

    ``write_batch``: operations per `write` call, up to which a run also gathers what it reads; it may change from one
    moment to the next. ``concurrent_writes``: calls in flight; ``read_page``: records per page; ``find_batch``: values
    per `find`. ``change_feed`` False: every pass is a full scan. ``accepts_ids``: a create may choose the id.
    ``external_key``: creates with a key are idempotent. ``look_back`` is how far before its cursor the side re-reads,
    for changes that become visible late.
    """

    write_batch: int = 200
    concurrent_writes: int = 1
    read_page: int = 2000
    find_batch: int = 200
    change_feed: bool = True
    accepts_ids: bool = False
    external_key: bool = False
    look_back: timedelta = timedelta(0)
    time_precision: timedelta = timedelta(microseconds=1)
