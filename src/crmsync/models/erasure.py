"""The erasure of a person: which records are theirs, and what went."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from crmsync.models.records import OutcomeStatus, Record, Side


@attrs.frozen(slots=True)
class Person:
    """Whom a request is about: every record with one of these e-mails or ids, and what is linked to them."""

    emails: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    markmail_ids: frozenset[str] = frozenset()
    crm_ids: frozenset[str] = frozenset()


@attrs.frozen(slots=True)
class PersonIds:
    """The records of one object that are one person's, by the sides' ids."""

    markmail_ids: frozenset[str] = frozenset()
    crm_ids: frozenset[str] = frozenset()

    def of(self, side: Side) -> frozenset[str]:
        """One side's."""
        return self.markmail_ids if side is Side.LOCAL else self.crm_ids

    def __bool__(self) -> bool:
        return bool(self.markmail_ids or self.crm_ids)


@attrs.frozen(slots=True)
class FoundPerson:
    """What a person has in one object: ids on both sides, the records that are there, and their e-mails."""

    ids: PersonIds
    records: Mapping[Side, Sequence[Record]] = attrs.field(factory=dict, repr=False)
    emails: frozenset[str] = attrs.field(default=frozenset(), repr=False)


class Kept(enum.StrEnum):
    """The kinds of row in the bookkeeping that can be about a person."""

    LINKS = "links"
    CONFLICTS = "conflicts"
    CHANGES = "changes"
    JOURNAL = "journal"
    LOGS = "logs"
    STOPS = "stops"


@attrs.frozen(slots=True)
class RecordErasure:
    """What became of one record on its side. ``code`` says why it could not be deleted."""

    side: Side
    id: str
    status: OutcomeStatus
    code: str = ""


@attrs.frozen(slots=True)
class ObjectErasure:
    """What was erased of one object: ``rows`` counts the bookkeeping's, by kind; ``records`` are those of the sides.

    ``marks`` are how many digests are kept, so that the person is not taken in again.
    """

    entity_type: str
    rows: Mapping[Kept, int]
    records: tuple[RecordErasure, ...]
    marks: int
    erased_at: datetime

    @property
    def complete(self) -> bool:
        """Whether everything that was to go is gone."""
        return all(record.status is not OutcomeStatus.FAILED for record in self.records)
