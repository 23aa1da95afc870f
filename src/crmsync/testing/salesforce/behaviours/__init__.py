"""What the objects do besides storing rows: values that follow from others, and records that follow from records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crmsync.testing.salesforce.behaviours.activities import EmailMessages, EmailRelations, Tasks
from crmsync.testing.salesforce.behaviours.behaviour import Behaviour
from crmsync.testing.salesforce.behaviours.campaigns import Campaigns, Members, MemberStatuses
from crmsync.testing.salesforce.behaviours.people import Accounts, Contacts, Leads

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN: Final = Behaviour()
BEHAVIOURS: Final[Mapping[str, Behaviour]] = {
    "Account": Accounts(),
    "Contact": Contacts(),
    "Lead": Leads(),
    "Campaign": Campaigns(),
    "CampaignMember": Members(),
    "CampaignMemberStatus": MemberStatuses(),
    "Task": Tasks(),
    "EmailMessage": EmailMessages(),
    "EmailMessageRelation": EmailRelations(),
}
