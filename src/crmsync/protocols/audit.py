"""The part of the bookkeeping that keeps the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeAlias

from crmsync.models.audit import AuditEntry, AuditHead, AuditNote, StoredAuditKey

Tell: TypeAlias = Callable[[Any], AuditNote | None]
"""What is to be written down about a change that returned this; None: nothing, for nothing happened."""


class AuditRepository(Protocol):
    """Entries are added and never changed. They stay when their integration is deleted."""

    def audited(self, tell: Tell) -> Self:
        """This repository, for one change: what ``tell`` makes of its result is written down in its transaction.

        So either both are stored or neither. It is for `save_integration`, `change_integration`, `delete_integration`,
        `decide_conflicts`, `erase_conflict_values`, `erase_changes`, `approve_stop` and `remove_stop`. Where the method
        raises, nothing is written down. ``tell`` is quick, does no I/O, and may be called in a worker thread.
        """
        ...

    async def append_audit(self, note: AuditNote) -> None:
        """Write events down, each as the next entry of its chain. However many do so at once, no chain forks."""
        ...

    async def audit_entries(self, integration_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """The entries of a chain with a sequence > after, in order."""
        ...

    async def audit_heads(self) -> Mapping[str, AuditHead]:
        """The last entry of each chain, by integration, as it is noted beside the entries.

        A chain that has entries and no such note has an empty one: somebody has taken it away.
        """
        ...

    async def audit_keys(self) -> Sequence[StoredAuditKey]:
        """The audit keys in the order of their ids."""
        ...

    async def add_audit_key(self, key: StoredAuditKey) -> bool:
        """Store a new key; False, and nothing is stored, if there is one with its id."""
        ...

    async def replace_audit_key(self, key_id: int, before: str, after: str) -> bool:
        """Replace the sealed text of a key if it is still the one ``before``."""
        ...
