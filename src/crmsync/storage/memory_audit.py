"""The audit log in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, cast

import attrs

from crmsync.models.audit import AuditEntry, AuditHead, AuditNote, StoredAuditKey
from crmsync.protocols.audit import Tell
from crmsync.storage import admission

_TOLD: Final = frozenset(
    {
        "save_integration",
        "change_integration",
        "delete_integration",
        "decide_conflicts",
        "erase_conflict_values",
        "erase_changes",
        "approve_stop",
        "remove_stop",
    }
)


class MemoryAudit:
    """The `AuditRepository` part of a repository in memory. Each method is atomic."""

    def __init__(self) -> None:
        self._chains: dict[str, list[AuditEntry]] = {}
        self._audit_keys: dict[int, StoredAuditKey] = {}

    def audited(self, tell: Tell) -> Self:
        """See `AuditRepository`."""
        return cast("Self", _Audited(self, tell))

    async def append_audit(self, note: AuditNote) -> None:
        """See `AuditRepository`."""
        self._append(note)

    async def audit_entries(self, integration_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """See `AuditRepository`."""
        return [_own(entry) for entry in self._chains.get(integration_id, ())[after : after + limit]]

    async def audit_heads(self) -> Mapping[str, AuditHead]:
        """See `AuditRepository`."""
        return {name: _head(self._chains[name]) for name in sorted(self._chains)}

    async def audit_keys(self) -> Sequence[StoredAuditKey]:
        """See `AuditRepository`."""
        return [self._audit_keys[key_id] for key_id in sorted(self._audit_keys)]

    async def add_audit_key(self, key: StoredAuditKey) -> bool:
        """See `AuditRepository`."""
        return self._audit_keys.setdefault(key.id, key) is key

    async def replace_audit_key(self, key_id: int, before: str, after: str) -> bool:
        """See `AuditRepository`."""
        held = self._audit_keys.get(key_id)
        if held is None or held.sealed != before:
            return False
        self._audit_keys[key_id] = StoredAuditKey(key_id, after)
        return True

    def _append(self, note: AuditNote) -> None:
        for event in note.events:
            chain = self._chains.setdefault(event.integration_id, [])
            chain.append(_own(note.entry(event, _head(chain))))


class _Audited:
    """A repository in memory whose methods write down what came of them. None gives way to another task meanwhile."""

    def __init__(self, repository: MemoryAudit, tell: Tell) -> None:
        self._repository = repository
        self._tell = tell

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._repository, name)
        if name not in _TOLD:
            return method

        async def audited(*arguments: Any, **named: Any) -> Any:
            result = await method(*arguments, **named)
            note = self._tell(result)
            if note is not None:
                self._repository._append(note)  # noqa: SLF001 - a part of it
            return result

        return audited


def _head(chain: Sequence[AuditEntry]) -> AuditHead:
    return AuditHead(chain[-1].sequence, chain[-1].mac) if chain else AuditHead()


def _own(entry: AuditEntry) -> AuditEntry:
    """With details that nobody else holds, in the form that they come back from JSON."""
    event = attrs.evolve(
        entry.event, at=admission.as_utc(entry.event.at), details=admission.json_copy(dict(entry.event.details))
    )
    return attrs.evolve(entry, event=event)
