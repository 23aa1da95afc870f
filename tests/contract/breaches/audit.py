"""Repositories that break a promise about the audit log."""

from __future__ import annotations

from typing import Self

from crmsync.models.audit import AuditNote
from crmsync.protocols.audit import Tell
from crmsync.storage.memory import MemoryRepository
from crmsync.testing.repository import RepositoryContract
from tests.contract.breaches.promise import Breaches


class BeginsChainsAnew(MemoryRepository):
    async def append_audit(self, note: AuditNote) -> None:
        kept = {event.integration_id: self._chains.pop(event.integration_id, []) for event in note.events}
        await super().append_audit(note)
        for name, before in kept.items():
            self._chains[name] = [*before, *self._chains[name]]


class ForgetsTheLogWithTheIntegration(MemoryRepository):
    async def delete_integration(self, integration_id: str) -> None:
        await super().delete_integration(integration_id)
        self._chains.pop(integration_id, None)


class TellsNobody(MemoryRepository):
    def audited(self, tell: Tell) -> Self:
        return self


class TellsBeforeItIsDone(MemoryRepository):
    def audited(self, tell: Tell) -> Self:
        note = tell(None)
        if note is not None:
            self._append(note)
        return self


BREACHES: Breaches = [
    (BeginsChainsAnew, RepositoryContract.test_a_chain_goes_on_from_its_head_and_is_read_in_pages),
    (ForgetsTheLogWithTheIntegration, RepositoryContract.test_the_log_outlives_its_integration),
    (TellsNobody, RepositoryContract.test_each_change_is_written_down_with_what_came_of_it),
    (TellsBeforeItIsDone, RepositoryContract.test_what_did_not_happen_is_not_written_down),
]
