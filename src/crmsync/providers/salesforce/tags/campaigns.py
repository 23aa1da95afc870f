"""The campaigns that tags stand for."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from crmsync.errors import AccessDeniedError, ConfigurationError, SchemaChangedError
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.parents import Describe
from crmsync.providers.salesforce.retrieving import query_all
from crmsync.providers.salesforce.schema import SObject


@attrs.frozen(slots=True)
class TagCampaigns:
    """Which campaign a tag stands for, one to one. Ids have 18 characters."""

    by_tag: Mapping[str, str]

    @property
    def by_id(self) -> Mapping[str, str]:
        """The tag of each campaign."""
        return {campaign: tag for tag, campaign in self.by_tag.items()}


async def described_member(describe: Describe) -> SObject:
    """The describe of CampaignMember.

    :raises AccessDeniedError: it is hidden from this user.
    """
    try:
        return await describe("CampaignMember")
    except SchemaChangedError:
        raise AccessDeniedError(
            "the setting campaigns.tags needs the object CampaignMember, which is hidden from this user: grant access"
            " to campaigns (and to change them the user's permission Marketing User), or remove the setting"
        ) from None


async def find_campaigns(client: SalesforceClient, wanted: Mapping[str, str]) -> TagCampaigns:
    """Look up the campaigns that settings name by id or exact name.

    :raises ConfigurationError: names every tag whose campaign is not there, is not the only one of its name, or has
        another tag already.
    """
    ids = {tag: key for tag, named in wanted.items() if (key := full_id(named))}
    names = {tag: named.strip() for tag, named in wanted.items() if tag not in ids}
    rows = []
    for field, values in (("Id", ids.values()), ("Name", names.values())):
        for statement in soql.select_in(("Id", "Name"), "Campaign", field, dict.fromkeys(values)):
            rows += await query_all(client, statement)
    present = {key: str(row.get("Name") or "") for row in rows if (key := full_id(str(row.get("Id"))))}
    found: dict[str, str] = {}
    faults: list[str] = []
    for tag in wanted:
        matches = [key for key, name in present.items() if key == ids.get(tag) or name == names.get(tag)]
        if len(matches) != 1:
            what = f"{len(matches)} campaigns have this name; give the id" if matches else "there is no such campaign"
            faults.append(f"campaigns.tags.{tag}: {what}")
        elif matches[0] in found.values():
            faults.append(f"campaigns.tags.{tag}: another tag stands for this campaign already")
        else:
            found[tag] = matches[0]
    if faults:
        raise ConfigurationError("; ".join(faults))
    return TagCampaigns(found)
