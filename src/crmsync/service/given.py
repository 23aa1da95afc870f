"""An integration that is given anew: what stays of the one before, and what the audit log has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from crmsync.mapping.changes import mapping_changes
from crmsync.models.audit import AuditNote
from crmsync.models.integrations import CallLimits, Integration
from crmsync.models.mappings import ObjectMapping
from crmsync.security.audit import Pen, together
from crmsync.service.opening import SCHEMAS


@attrs.frozen(slots=True)
class Given:
    """What is given of an integration. ``default_mappings`` says which objects have the provider's; True: all."""

    id: str
    user_id: str
    provider: str
    settings: Mapping[str, Any]
    field_mappings: Mapping[str, ObjectMapping]
    default_mappings: bool | Sequence[str]
    limits: CallLimits
    now: datetime

    def over(self, existing: Integration | None, credentials: str, *, renewed: bool) -> Integration:
        """The integration with these sealed credentials, and with what stays of an existing one.

        What was remembered of the CRM stays as long as settings and credentials lead to the same one.
        """
        settings = {
            "provider": dict(self.settings),
            "default_mappings": self.default_mappings,
            "limits": self.limits.model_dump(mode="json"),
        }
        if existing and SCHEMAS in existing.settings:
            settings[SCHEMAS] = existing.settings[SCHEMAS]
        if existing and not renewed and existing.settings.get("provider") == self.settings:
            settings["remembered"] = existing.settings.get("remembered", {})
        return Integration(
            id=self.id,
            user_id=self.user_id,
            provider=self.provider,
            org_id=existing.org_id if existing else None,
            credentials=credentials,
            settings=settings,
            field_mappings=dict(self.field_mappings),
            sync_enabled=existing.sync_enabled if existing else True,
            last_sync_at=existing.last_sync_at if existing else None,
            created_at=existing.created_at if existing else self.now,
            updated_at=self.now,
        )


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
