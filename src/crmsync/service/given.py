"""What the audit log has of an integration that was given anew."""

from __future__ import annotations

import attrs

from crmsync.mapping.changes import mapping_changes
from crmsync.models.audit import AuditNote
from crmsync.models.integrations import Integration
from crmsync.security.audit import Pen, together


@attrs.define(slots=True)
class Giving:
    """What was there before, and whether the credentials are others; set while the integration is changed."""

    pen: Pen
    before: Integration | None = None
    renewed: bool = False
    credentials: tuple[str, ...] = ()

    def note(self, after: Integration) -> AuditNote | None:
        """What changed, by name and never by value; None if nothing did."""
        connection = self._connection(after)
        mapped = (
            self.pen.note("mapping.changed", after.id, entity_type=name, fields=fields)
            for name in sorted({*(self.before.field_mappings if self.before else ()), *after.field_mappings})
            if (fields := changed_fields(self.before, after, name))
        )
        return together(connection, *mapped)

    def _connection(self, after: Integration) -> AuditNote | None:
        if self.before is None:
            names = list(self.credentials)
            return self.pen.note("connection.added", after.id, provider=after.provider, credentials=names)
        changed = [*_changed_settings(self.before, after), *(["credentials"] if self.renewed else [])]
        return self.pen.note("connection.changed", after.id, changed=changed) if changed else None


def changed_fields(before: Integration | None, after: Integration, object_name: str) -> list[str]:
    """The field mappings and settings that differ between two mappings of an object; ``(all)`` if it has none now."""
    old = before.field_mappings.get(object_name) if before else None
    new = after.field_mappings.get(object_name)
    if new is None:
        return ["(all)"] if old else []
    return sorted({one.field or one.setting for one in mapping_changes(old, new)})


def _changed_settings(before: Integration, after: Integration) -> list[str]:
    changed = [name for name in ("provider", "user_id") if getattr(before, name) != getattr(after, name)]
    old, new = before.settings.get("provider", {}), after.settings.get("provider", {})
    changed += [f"settings.{name}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return [*changed, *(["limits"] if before.settings.get("limits") != after.settings.get("limits") else [])]
