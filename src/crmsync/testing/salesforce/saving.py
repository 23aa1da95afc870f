"""From a request's values to the row that is saved: field access, parsing, triggers, required and unique fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.times import stamp
from crmsync.testing.salesforce.values import check, parse, parse_ids, person_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from crmsync.testing.salesforce.rules import Trigger
    from crmsync.testing.salesforce.schema import FieldDef, ObjectDef
    from crmsync.testing.salesforce.store import Row, Table


def changes(
    definition: ObjectDef, raw: Mapping[str, Any], triggers: Mapping[str, Trigger], *, creating: bool
) -> dict[str, Any]:
    """Return the stored forms of a request's values by the field's right name.

    :raises RowError: a field is unknown, not writable, or cannot hold its value.
    :raises CallError: the JSON type of a value is wrong.
    """
    result: dict[str, Any] = {}
    for name, value in raw.items():
        if name == "attributes":
            continue
        if name in definition.junctions:
            result[name] = parse_ids(name, value)
            continue
        field = definition.find(name)
        if field is None:
            raise unknown_field(definition, name)
        if not (field.createable if creating else field.updateable):
            raise _not_writable(field)
        stored = parse(field, value)
        trigger = triggers.get(field.name)
        if trigger is not None and stored is not None:
            stored = trigger(stored)
        check(field, stored)
        result[field.name] = stored
    return result


def unknown_field(definition: ObjectDef, name: str) -> RowError:
    """The refusal of a field that the object has not, or that field-level security hides."""
    return RowError("INVALID_FIELD", f"No such column '{name}' on sobject of type {definition.name}")


def _not_writable(field: FieldDef) -> RowError:
    message = (
        f"Unable to create/update fields: {field.name}. Please check the security settings of this field and verify"
        " that it is read/write for your profile or permission set."
    )
    return RowError("INVALID_FIELD_FOR_INSERT_UPDATE", message, (field.name,))


def defaults(definition: ObjectDef) -> Row:
    """Return the values of a new record before its request's are applied."""
    return {**definition.defaults}


def touch(now: datetime, by: str) -> Row:
    """Return what every save sets: who and when, both stamps alike as no automated process runs here."""
    moment = stamp(now)
    return {"LastModifiedDate": moment, "LastModifiedById": by, "SystemModstamp": moment}


def applied(row: Row, changed: Mapping[str, Any]) -> Row:
    """Return a new row with the changes: nulls are left out, and computed fields follow."""
    result = {**row, **changed}
    for name, value in changed.items():
        if value is None:
            del result[name]
    if "LastName" in result or "FirstName" in result:
        result["Name"] = person_name(result)
    if "IsEmailBounced" in result:
        result["IsEmailBounced"] = "EmailBouncedDate" in result or "EmailBouncedReason" in result
    return result


def require(definition: ObjectDef, row: Row, changed: Mapping[str, Any] | None = None) -> None:
    """Refuse a row without its required values; for an update, only those among the ``changed`` fields.

    :raises RowError: REQUIRED_FIELD_MISSING, naming all of them.
    """
    missing = tuple(
        name for name in definition.required if row.get(name) is None and (changed is None or name in changed)
    )
    if missing:
        raise RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)


def require_unique(table: Table, row: Row, changed: Mapping[str, Any]) -> None:
    """Refuse a row whose unique value another record outside the recycle bin holds.

    :raises RowError: DUPLICATE_VALUE, naming the other record's id.
    """
    for name in table.definition.unique:
        if name not in changed or row.get(name) is None:
            continue
        for other in table.live_matching(name, row[name]):
            if other["Id"] != row["Id"]:
                message = f"duplicate value found: {name} duplicates value on record with id: {other['Id']}"
                raise RowError("DUPLICATE_VALUE", message)


def require_references(tables: Mapping[str, Table], definition: ObjectDef, changed: Mapping[str, Any]) -> None:
    """Refuse references to records that are not there.

    :raises RowError: INVALID_CROSS_REFERENCE_KEY or MALFORMED_ID.
    """
    for name in definition.references:
        value, entry = changed.get(name), definition.fields[name]
        if value is None:
            continue
        known = [tables[target] for target in entry.references if target in tables]
        if len(known) < len(entry.references):
            continue
        if not any(value.startswith(table.definition.key_prefix) for table in known):
            raise RowError("FIELD_INTEGRITY_EXCEPTION", f"{entry.label}: id value of incorrect type: {value}", (name,))
        if not any((row := table.newest(value)) and not row.get("IsDeleted") for table in known):
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
