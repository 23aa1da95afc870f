"""An integration: one tenant's configured, credentialled use of a provider."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import AwareDatetime, Field

from crmsync.models.mappings import ObjectMapping
from crmsync.models.schema import PublicModel


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class CallLimits(PublicModel):
    """How many API calls all processes of an integration may make together; None: no limit.

    ``max_calls_per_day`` is for a day of UTC. ``max_org_percent`` leaves the rest of the CRM's own allowance to others:
    no call is made once the CRM says that so much of it is used, by whomever.
    """

    max_calls_per_day: int | None = Field(default=None, ge=1)
    max_org_percent: float | None = Field(default=None, gt=0, le=100)


class Integration(PublicModel):
    """A row of ``crm_integrations``.

    ``credentials`` is ciphertext and is never shown; ``field_mappings`` is by CRM object.
    """

    id: str = Field(min_length=1, max_length=64)
    user_id: str = Field(default="", max_length=64)
    provider: str = Field(min_length=1, max_length=64)
    org_id: str | None = None
    credentials: str = Field(default="", repr=False)
    settings: dict[str, Any] = Field(default_factory=dict)
    field_mappings: dict[str, ObjectMapping] = Field(default_factory=dict)
    sync_enabled: bool = True
    last_sync_at: AwareDatetime | None = None
    created_at: AwareDatetime = Field(default_factory=_now)
    updated_at: AwareDatetime = Field(default_factory=_now)


class MappingTemplate(PublicModel):
    """A row of ``crm_field_mapping_templates``: a named, reusable object mapping for one provider."""

    id: str = Field(min_length=1, max_length=64)
    provider: str
    name: str
    description: str = ""
    mappings: dict[str, ObjectMapping]
    is_default: bool = False
    created_at: AwareDatetime = Field(default_factory=_now)
