"""What a test of the connection finds in the org."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from crmsync.providers.salesforce import retrieving
from crmsync.providers.salesforce.accounts.findings import account_warnings, person_warnings
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.people.needs import shortcomings
from crmsync.providers.salesforce.replication import not_replicated
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import ChangeFeed, SalesforceSettings
from crmsync.providers.salesforce.tags.members import Members, tag_warnings


async def warnings_of(
    settings: SalesforceSettings,
    describe: Callable[[str], Awaitable[SObject]],
    members: Callable[[], Awaitable[Members]],
) -> list[str]:
    """What will not work, or not as one may expect, with an org that is as it is."""
    people = [await describe(name) for name in settings.people.objects]
    warnings = [text for each in people for text in shortcomings(each, settings.external_id_field)]
    if settings.changes is ChangeFeed.GET_UPDATED:
        warnings += [not_replicated(each) for each in people if not each.replicateable]
    warnings += await account_warnings(settings, describe)
    warnings += await person_warnings(settings, describe)
    return warnings + list(await tag_warnings(settings, members))


async def name_of_org(client: SalesforceClient) -> str:
    """The organisation's name; empty if it is hidden."""
    rows = await retrieving.query_all(client, "SELECT Name FROM Organization LIMIT 1")
    return str(rows[0].get("Name") or "") if rows else ""
