"""The mapping of a history, made and compiled once for all histories with the same one: it takes longer than a run."""

from __future__ import annotations

from functools import lru_cache

import attrs

from crmsync.mapping import compile_mapping
from crmsync.models.mappings import ConflictPolicy, DeletePolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.schema import FieldType, ObjectSchema
from crmsync.protocols.conversion import RecordRule
from tests.property.engine.sites import SCALARS

KEPT_DAYS = 1000
_KEPT = 512
_TYPES = {"score": FieldType.DECIMAL, "seen": FieldType.DATETIME}


@attrs.frozen
class Mapped:
    """All that a mapping depends on. ``narrow`` leaves the city out; ``version`` counts changes that touch no field."""

    policy: ConflictPolicy
    delete: DeletePolicy
    guard: int
    narrow: bool
    version: int


@lru_cache(_KEPT)
def mapping(given: Mapped) -> ObjectMapping:
    """The mapping."""
    names = [name for name in SCALARS if not (given.narrow and name == "city")]
    tags = two_way("tags", "Tags", field_type=FieldType.TAGS)
    consent = two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE)
    fields: list[FieldMapping] = [two_way("email", "Email", field_type=FieldType.EMAIL)]
    fields += [two_way(name, SCALARS[name], field_type=_TYPES.get(name, FieldType.TEXT)) for name in names]
    return ObjectMapping(
        fields=(*fields, tags, consent),
        policy=given.policy,
        delete_in_crm=given.delete,
        delete_in_local=given.delete,
        delete_guard_count=given.guard,
        history_days=KEPT_DAYS,
        # What a version may differ by: nothing is archived here.
        local_archive_field=f"archived_{given.version}" if given.version else "",
    )


@lru_cache(_KEPT)
def compiled(given: Mapped, *sides: ObjectSchema) -> RecordRule:
    """The mapping, compiled for sides that describe themselves so."""
    return compile_mapping(mapping(given), *sides)
