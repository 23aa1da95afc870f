"""What differs between two mappings of an object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crmsync.models.mappings import FieldMapping, ObjectMapping
from crmsync.models.plans import MappingChange


def mapping_changes(old: ObjectMapping | None, new: ObjectMapping) -> tuple[MappingChange, ...]:
    """The field mappings that came, went or differ, then the settings. ``old`` None: there was no mapping."""
    before, after = _fields(old), _fields(new)
    changes = [MappingChange(name, before=_shown(before[name])) for name in before if name not in after]
    for name, field in after.items():
        if name in before:
            changes += _settings(name, _shown(before[name], full=True), _shown(field, full=True))
        else:
            changes.append(MappingChange(name, after=_shown(field)))
    held = old.model_dump(mode="json", exclude={"fields"}) if old else {}
    return (*changes, *_settings("", held, new.model_dump(mode="json", exclude={"fields"})))


def _fields(mapping: ObjectMapping | None) -> dict[str, FieldMapping]:
    return {f"{f.markmail_field} = {f.crm_field}": f for f in mapping.fields} if mapping else {}


def _shown(field: FieldMapping, *, full: bool = False) -> dict[str, Any]:
    """A field mapping's settings, without the names that say which it is; not ``full``: those that were set."""
    return field.model_dump(mode="json", exclude={"markmail_field", "crm_field"}, exclude_defaults=not full)


def _settings(field: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[MappingChange]:
    for name, value in after.items():
        if before.get(name) != value:
            yield MappingChange(field, name, before.get(name), value)
