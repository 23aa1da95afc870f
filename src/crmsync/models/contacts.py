"""Contacts and lists of contacts, as users of the provider verbs hold them."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, Field

from crmsync.models.schema import PublicModel


class CRMContact(PublicModel):
    """A person in a CRM. ``id`` is the CRM's id, None before it is created there."""

    id: str | None = None
    email: str = Field(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")
    first_name: str | None = None
    last_name: str | None = None
    company: str | None = None
    phone: str | None = None
    tags: tuple[str, ...] = ()
    custom_fields: dict[str, Any] = Field(default_factory=dict)
    last_sync_at: AwareDatetime | None = None


class CRMList(PublicModel):
    """A list of contacts: a mailing list locally, a campaign's members or a static list in the CRM."""

    id: str | None = None
    name: str = Field(min_length=1, max_length=255)
    description: str | None = None
    member_count: int = Field(default=0, ge=0)
    member_emails: tuple[str, ...] = ()
