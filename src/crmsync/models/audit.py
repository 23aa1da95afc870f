"""The audit log: who did what, when, from where, and what came of it, in chains that nobody changes unnoticed.

There is one chain for each integration, and one (of the integration ``""``) for what concerns the bookkeeping as a
whole. An entry's ``mac`` is an HMAC over the entry and the ``mac`` before it, so no entry can be changed, removed,
added or put elsewhere without the key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import attrs
from pydantic import AwareDatetime, Field

from crmsync.models.schema import PublicModel
from crmsync.models.secrets import refuse_pickling

BOOKKEEPING: Final = ""
"""The chain of what concerns no single integration."""

_ACTOR: Final = 255


def _line(text: str) -> str:
    return "".join(ch if ch.isprintable() else "\ufffd" for ch in text[:_ACTOR])


@attrs.frozen(slots=True)
class Actor:
    """Who acts, and from where: a user's id and an address, say. Cut to 255 characters, all of them printable."""

    name: str = attrs.field(converter=_line)
    origin: str = attrs.field(default="", converter=_line)


@attrs.frozen(slots=True)
class AuditEvent:
    """What happened. ``details`` are ids, names of fields and credentials, and counts: JSON, without any value.

    ``entity_type`` is the object that it was about, or empty.
    """

    integration_id: str
    action: str
    actor: Actor
    at: datetime
    entity_type: str = ""
    result: str = "done"
    details: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(slots=True)
class AuditEntry:
    """An event in its chain. ``sequence`` counts from 1; ``key_id`` says with which audit key ``mac`` was made."""

    sequence: int
    event: AuditEvent
    key_id: int
    mac: str


@attrs.frozen(slots=True)
class AuditHead:
    """The last entry of a chain; 0 and empty before the first."""

    sequence: int = 0
    mac: str = ""


@attrs.frozen(slots=True)
class StoredAuditKey:
    """An audit key, sealed by the vault."""

    id: int
    sealed: str = attrs.field(repr=False)


@attrs.frozen(slots=True)
class AuditKey:
    """What entries are signed with."""

    id: int
    key: bytes = attrs.field(repr=False)

    def mac_of(self, sequence: int, event: AuditEvent, previous: str) -> str:
        """The ``mac`` of an event at this place in its chain, after the entry with the mac ``previous``."""
        signed = [
            sequence,
            previous,
            event.integration_id,
            event.action,
            event.actor.name,
            event.actor.origin,
            event.at.astimezone(UTC).isoformat(timespec="microseconds"),
            event.entity_type,
            event.result,
            dict(event.details),
        ]
        return self.sign("entry", signed)

    def sign(self, what: str, content: object) -> str:
        """An HMAC-SHA-256 over canonical JSON, in hexadecimal."""
        text = json.dumps([what, self.id, content], sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hmac.new(self.key, text.encode("ascii"), hashlib.sha256).hexdigest()

    def __reduce__(self) -> NoReturn:
        refuse_pickling("an audit key")


@attrs.frozen(slots=True)
class AuditNote:
    """Events to write down, and the key to sign them with."""

    events: tuple[AuditEvent, ...]
    key: AuditKey

    def entry(self, event: AuditEvent, head: AuditHead) -> AuditEntry:
        """The entry that an event becomes after the head of its chain."""
        sequence = head.sequence + 1
        return AuditEntry(sequence, event, self.key.id, self.key.mac_of(sequence, event, head.mac))


class AuditAnchor(PublicModel):
    """The heads of all chains at one moment, signed. Kept elsewhere, it shows later that nothing was cut off.

    ``heads`` are by integration: the sequence and the mac of the last entry.
    """

    made_at: AwareDatetime
    heads: dict[str, tuple[int, str]]
    key_id: int
    signature: str

    @property
    def signed(self) -> list[object]:
        """What the signature is over."""
        return [self.made_at.astimezone(UTC).isoformat(), {name: list(head) for name, head in self.heads.items()}]


class AuditFault(PublicModel):
    """A place where the log is not what was written. ``sequence`` is 0 for a chain as a whole."""

    integration_id: str
    sequence: int
    code: str
    message: str


class AuditVerification(PublicModel):
    """What a look at the whole log found. ``anchored`` is the time of the anchor that it was compared with."""

    entries: int = 0
    chains: int = 0
    anchored: AwareDatetime | None = None
    faults: tuple[AuditFault, ...] = Field(default=())

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.faults


def entry_json(entry: AuditEntry) -> dict[str, Any]:
    """An entry as it is exported."""
    event = entry.event
    return {
        "integration_id": event.integration_id,
        "sequence": entry.sequence,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor.name,
        "origin": event.actor.origin,
        "action": event.action,
        "entity_type": event.entity_type,
        "result": event.result,
        "details": dict(event.details),
        "key_id": entry.key_id,
        "mac": entry.mac,
    }
