"""What a connection's settings say about single objects."""

from __future__ import annotations

import enum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

DottedName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*\.[A-Za-z][A-Za-z0-9_]*$")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^;]*$", strip_whitespace=True)]
MemberStatus = Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]
ApiName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]

NOT_PROVIDED: Final = "[not provided]"
"""What Salesforce's own pages put where a lead must have a company and has none."""

_STRICT: Final = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ParentOptions(BaseModel):
    """Fields of parents to show as fields of their children (``Account.Name``), on every object that has such a parent.

    ``follow``: a change of the parent counts as a change of its children. It costs a query more for each pass that asks
    for such fields, and reads every child of each parent that changed in any way.
    """

    model_config = _STRICT

    fields: tuple[DottedName, ...] = ()
    follow: bool = True


class AccountMode(enum.StrEnum):
    """What a contact's company does to its account."""

    LEAVE = "leave"
    """Nothing: ``Account.Name`` can be read (see `ParentOptions`) and not written."""
    LINK = "link"
    """The contact is moved to the account of that name."""
    CREATE = "create"
    """As `LINK`, and an account that is missing is made."""


class PersonMode(enum.StrEnum):
    """What a new person becomes in an org with person accounts."""

    LEAVE = "leave"
    """A contact."""
    CREATE = "create"
    """A person account; with a company that is written (see `AccountMode`), a contact."""


class ActivityMode(enum.StrEnum):
    """As what e-mail events are recorded."""

    TASK = "task"
    EMAIL_MESSAGE = "email_message"
    CAMPAIGN_MEMBER = "campaign_member"
    OFF = "off"


class CampaignOptions(BaseModel):
    """Campaigns and their members.

    ``member_status`` is given to new members; empty leaves it to the campaign's default. ``field_prefix`` begins the
    custom fields that hold statistics: ``MarkMail_`` makes ``MarkMail_Opened__c``. ``create_member_statuses`` adds to a
    campaign a status that a member is to get and the campaign lacks; ``responded_statuses`` are those that count as a
    response then. ``tags`` names the campaign, by id
    or exact name, that each tag stands for: whoever has the tag is a member.
    """

    model_config = _STRICT

    member_status: str = Field(default="", max_length=40)
    create_member_statuses: bool = False
    responded_statuses: tuple[MemberStatus, ...] = ()
    field_prefix: str = Field(default="MarkMail_", pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    tags: dict[Tag, str] = Field(default_factory=dict, max_length=200)
