"""What waits on field mappings that another mapping would leave out: it ends with them."""

from __future__ import annotations

from collections import Counter
from typing import Final

from crmsync.models.mappings import FieldMapping, ObjectMapping
from crmsync.models.plans import EndedField
from crmsync.models.state import ConflictStatus, LinkStatus
from crmsync.protocols.repository import SyncRepository

_EVERY: Final = 100_000
_PAGE: Final = 1000
_REJECTS: Final = (LinkStatus.REJECTED, LinkStatus.QUARANTINED, LinkStatus.IGNORED)


async def ended_fields(
    repository: SyncRepository, integration_id: str, object_name: str, old: ObjectMapping | None, new: ObjectMapping
) -> tuple[EndedField, ...]:
    """The field mappings that ``new`` lacks and on which something waits.

    A local field that is mapped to another one of the CRM keeps its conflicts: they are met again there.
    """
    kept = {(field.markmail_field, field.crm_field) for field in new.fields}
    gone = [field for field in (old.fields if old else ()) if (field.markmail_field, field.crm_field) not in kept]
    if not gone:
        return ()
    waiting = await repository.list_conflicts(
        integration_id, object_name, statuses=(ConflictStatus.OPEN, ConflictStatus.DECIDED), limit=_EVERY
    )
    still = {name for field in new.fields for name in (field.markmail_field, field.crm_field)}
    conflicts = Counter(conflict.field for conflict in waiting if conflict.field not in still)
    rejects = await _rejects_by_field(repository, integration_id, object_name)
    ended = [_ended(field, conflicts, rejects, still) for field in gone]
    return tuple(one for one in ended if one.conflicts or one.rejects)


def _ended(field: FieldMapping, conflicts: Counter[str], rejects: Counter[str], still: set[str]) -> EndedField:
    names = {field.markmail_field, field.crm_field} - still
    return EndedField(
        f"{field.markmail_field} = {field.crm_field}",
        conflicts=conflicts[field.markmail_field],
        rejects=sum(rejects[name] for name in names),
    )


async def _rejects_by_field(repository: SyncRepository, integration_id: str, object_name: str) -> Counter[str]:
    """How many records wait because of a field, by the name that the reason has for it."""
    found = Counter[str]()
    after = ""
    while links := await repository.scan_links(
        integration_id, object_name, statuses=_REJECTS, after=after, limit=_PAGE
    ):
        after = links[-1].markmail_id
        for link in links:
            found.update({problem.path for problem in link.problems if problem.path})
    return found
