"""Who was folded into a record: losers of merges, and leads that became a contact.

"Merge" of the Object Reference's pages for Account, Contact and Lead: a loser stays in the recycle bin and names its
master there. What was merged into a loser before goes on naming that loser, so the trail is walked to its beginning. A
converted lead names its contact as long as it exists ("ConvertedContactId", page "Lead").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crmsync.models.records import Record
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.retrieving import query_all
from crmsync.providers.salesforce.rows import MASTER, RowReader


async def merged_into(
    client: SalesforceClient, reader: RowReader, survivors: Iterable[str], fields: Sequence[str]
) -> list[Record]:
    """The tombstones of all that was merged into these records (18-character ids), directly or by way of others.

    One query for as many ids as fit into a URI, and one more for each step that the trail goes back.
    """
    if not reader.sobject.tells_merges:
        return []
    found: dict[str, Record] = {}
    wanted = list(dict.fromkeys(survivors))
    while wanted:
        losers = [loser for loser in await folded(client, reader, MASTER, wanted, fields) if loser.id not in found]
        found |= {loser.id: loser for loser in losers}
        wanted = [loser.id for loser in losers]
    return list(found.values())


async def merged_away(
    client: SalesforceClient, reader: RowReader, ids: Iterable[str], fields: Sequence[str]
) -> list[Record]:
    """The tombstones of those of these records that were folded into others, and of what these were folded into."""
    if not reader.sobject.tells_merges:
        return []
    found: dict[str, Record] = {}
    wanted = list(dict.fromkeys(ids))
    while wanted:
        gone = [each for each in await folded(client, reader, "Id", wanted, fields) if each.id not in found]
        found |= {each.id: each for each in gone}
        wanted = list(dict.fromkeys(each.merged_into for each in gone if each.merged_into))
    return list(found.values())


async def folded(
    client: SalesforceClient, reader: RowReader, field: str, ids: Iterable[str], fields: Sequence[str]
) -> list[Record]:
    """The tombstones of folded records whose field is one of these ids; the recycle bin is looked at too."""
    columns = reader.columns(fields, deleted=True)
    statements = soql.select_in(columns, reader.sobject.schema.name, field, dict.fromkeys(ids))
    rows = [row for statement in statements for row in await query_all(client, statement, deleted=True)]
    return [record for record in reader.records(rows, fields) if record.merged_into]
