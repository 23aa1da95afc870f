"""One person on both sides, and the mapping of what is known of them."""

from __future__ import annotations

from crmsync.models.mappings import ConflictPolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldType
from crmsync.testing.world import World

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)
NAME = two_way("name", "Name")
CITY = two_way("city", "City")
TAGS = two_way("tags", "Tags", field_type=FieldType.TAGS)
OPT_OUT = two_way("opted_out", "OptedOut", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE)
CONTACT = ObjectMapping(fields=(EMAIL, NAME, CITY, TAGS, OPT_OUT))


def mapped(*fields: FieldMapping, **options: object) -> ObjectMapping:
    return ObjectMapping(fields=(EMAIL, *fields), **options)


async def linked(w: World, **values: object) -> tuple[str, str]:
    """One person on both sides; the local and the remote id."""
    fields = {"email": "ann@example.org", "name": "Ann", "city": "Bonn", **values}
    local = w.local.add(fields)
    await w.sync()
    (remote,) = w.remote.snapshot()
    return local, remote


def value(w: World, side: Side, record_id: str, field: str) -> object:
    return (w.local if side is Side.LOCAL else w.remote).snapshot()[record_id][field]
