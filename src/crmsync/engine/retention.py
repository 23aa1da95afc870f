"""Forget what is older than the mapping keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from crmsync.models.erasure import Kept
from crmsync.models.mappings import ObjectMapping
from crmsync.models.state import ConflictSelection
from crmsync.protocols.repository import SyncRepository

AT_ONCE: Final = 10_000
"""So many conflicts lose their values in one go; the rest of a long backlog is left to later runs."""


async def purge(
    repository: SyncRepository, integration_id: str, entity_type: str, mapping: ObjectMapping, now: datetime
) -> Mapping[Kept, int]:
    """Erase the values of conflicts that were settled long enough ago, old history and old runs; how many of each."""
    long_settled = ConflictSelection(
        entity_type, settled_until=now - timedelta(days=mapping.keep_values_days), limit=AT_ONCE
    )
    written = now - timedelta(days=mapping.history_days)
    begun = now - timedelta(days=mapping.logs_days)
    return {
        Kept.CONFLICTS: await repository.erase_conflict_values(integration_id, long_settled, now=now),
        Kept.CHANGES: await repository.purge_changes(integration_id, entity_type, written_before=written),
        Kept.LOGS: await repository.purge_logs(integration_id, entity_type, started_before=begun),
    }
