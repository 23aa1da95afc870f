"""A mapping with a history, and what is done with it."""

from __future__ import annotations

from crmsync.models.history import RecordChange
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, ObjectMapping, two_way
from crmsync.models.runs import RunReport
from crmsync.models.schema import FieldType
from crmsync.testing.world import World

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("name", "Name", policy=ConflictPolicy.REMOTE_WINS),
        two_way("phone", "Phone"),
        two_way("tags", "Tags__c", field_type=FieldType.MULTI_PICKLIST),
    ),
    delete_in_crm=DeletePolicy.PROPAGATE,
    history_days=30,
)


async def changes(w: World, run_id: str | None = None, record_id: str | None = None) -> list[RecordChange]:
    records = [record_id] if record_id else []
    return await w.repository.list_changes("acme", "Contact", run_id=run_id, record_ids=records)


async def undo(w: World, run_id: str, **options: object) -> RunReport:
    report = await (await w.runner(**options)).undo(run_id)
    w.clock.tick()
    return report


async def pair(w: World) -> tuple[str, str]:
    """A synced pair: both ids."""
    ours = w.local.add(email="ada@example.org", name="Ada", phone="1", tags=("a",))
    await w.sync()
    await w.sync()
    return ours, w.remote.keys()[ours]
