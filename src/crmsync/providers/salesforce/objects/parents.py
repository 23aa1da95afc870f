"""Fields of a record's parents, one level up, as fields of the record: ``Account.Name`` of a Contact. Read only.

A parent's change does not move its children's SystemModstamp, so children are looked for by their parents' stamps too
(`followed`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from crmsync.errors import SchemaChangedError
from crmsync.models.schema import FieldSchema, FieldType
from crmsync.providers.salesforce.schema import Relationship, SObject

ALWAYS: Final[Mapping[str, tuple[str, ...]]] = {
    "CampaignMember": ("Contact.Email", "Lead.Email", "Campaign.Name"),
    "CampaignMemberStatus": ("Campaign.Name",),
}
"""Fields of parents that an object has whatever the settings say, because little can be done with it without them."""

_NAME: Final = {
    field.name: field
    for field in (
        FieldSchema(name="Name", label="Name", length=255),
        FieldSchema(name="FirstName", label="First Name", length=40),
        FieldSchema(name="LastName", label="Last Name", length=80),
        FieldSchema(name="Email", label="Email", type=FieldType.EMAIL, length=80),
        FieldSchema(name="Phone", label="Phone", type=FieldType.PHONE, length=40),
        FieldSchema(name="Title", label="Title", length=128),
        FieldSchema(name="Alias", label="Alias", length=8),
        FieldSchema(name="Username", label="Username", length=80),
        FieldSchema(name="Type", label="Type", type=FieldType.PICKLIST, length=40),
    )
}
"""What can be read of a parent that may be of several objects, such as a lead's owner ("Name", Object Reference)."""

Describe = Callable[[str], Awaitable[SObject]]


async def with_parents(sobject: SObject, wanted: Iterable[str], describe: Describe) -> SObject:
    """The object with those of the dotted fields that it has and this user may see.

    One describe for each kind of parent; a parent of several kinds costs none.
    """
    added = []
    for name in dict.fromkeys((*ALWAYS.get(sobject.schema.name, ()), *wanted)):
        relation, _, field = name.partition(".")
        relationship = sobject.relationships.get(relation)
        if relationship is None or relationship.field not in sobject.fields or name in sobject.fields:
            continue
        found = await _parent_field(relationship, field, describe)
        if found is not None:
            added.append(_as_child(found, name, relation))
    return sobject.with_fields(added) if added else sobject


async def _parent_field(relationship: Relationship, field: str, describe: Describe) -> FieldSchema | None:
    if relationship.polymorphic:
        return _NAME.get(field)
    try:
        found = (await describe(relationship.targets[0])).fields.get(field)
    except SchemaChangedError:
        return None
    if found is None or not found.parts:
        return found
    # A parent's name is read as Salesforce puts it together; other compounds have no such text.
    return found.model_copy(update={"type": FieldType.TEXT, "parts": {}}) if found.name == "Name" else None


def _as_child(field: FieldSchema, name: str, relation: str) -> FieldSchema:
    return field.model_copy(
        update={
            "name": name,
            "label": f"{relation}: {field.label or field.name}",
            "required": False,
            "nillable": True,
            "createable": False,
            "updateable": False,
            "unique": False,
            "external_id": False,
            "custom": False,
        }
    )


def followed(sobject: SObject, fields: Sequence[str]) -> tuple[str, ...]:
    """Relationships whose parents' stamps tell of a change in one of these fields; those of several kinds have none."""
    relations = dict.fromkeys(name.partition(".")[0] for name in fields if "." in name and name in sobject.fields)
    return tuple(name for name in relations if not sobject.relationships[name].polymorphic)
