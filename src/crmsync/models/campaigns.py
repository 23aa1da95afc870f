"""Campaigns and what became of their e-mails."""

from __future__ import annotations

import datetime as dt
import enum

from pydantic import AwareDatetime, Field, model_validator

from crmsync.models.schema import PublicModel


class EmailStats(PublicModel):
    """Counts of e-mail events of one campaign. None: unknown, as of what the CRM has no field for, or hides.

    Rates are shares of the delivered, 0.0 when nothing was delivered, None when one of the counts is unknown.
    """

    sent: int | None = Field(default=0, ge=0)
    delivered: int | None = Field(default=0, ge=0)
    opened: int | None = Field(default=0, ge=0)
    clicked: int | None = Field(default=0, ge=0)
    bounced: int | None = Field(default=0, ge=0)
    unsubscribed: int | None = Field(default=0, ge=0)
    complained: int | None = Field(default=0, ge=0)

    @property
    def open_rate(self) -> float | None:
        """Opened messages as a share of the delivered ones."""
        return self._share(self.opened)

    @property
    def click_rate(self) -> float | None:
        """Clicked messages as a share of the delivered ones."""
        return self._share(self.clicked)

    def _share(self, count: int | None) -> float | None:
        if count is None or self.delivered is None:
            return None
        return count / self.delivered if self.delivered else 0.0


class CRMCampaign(PublicModel):
    """A campaign. ``id`` is the CRM's id, None before it is created there. Dates are calendar dates without a zone.

    ``member_count`` None: unknown, as where the CRM hides it. What is unknown is not written.
    """

    id: str | None = None
    name: str = Field(min_length=1, max_length=255)
    status: str | None = None
    start_date: dt.date | None = None
    end_date: dt.date | None = None
    member_count: int | None = Field(default=0, ge=0)
    email_stats: EmailStats = EmailStats()

    @model_validator(mode="after")
    def _ends_after_start(self) -> CRMCampaign:
        if self.start_date and self.end_date and self.end_date < self.start_date:
            msg = "end_date is before start_date"
            raise ValueError(msg)
        return self


class EmailActivityType(enum.StrEnum):
    """What happened to a message."""

    SENT = "sent"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"


class EmailActivity(PublicModel):
    """One event of one message to one person. ``occurred_at`` is aware; ``link`` is set for clicks."""

    type: EmailActivityType
    email: str = Field(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")
    occurred_at: AwareDatetime
    message_id: str | None = None
    campaign_id: str | None = None
    subject: str | None = None
    link: str | None = None
