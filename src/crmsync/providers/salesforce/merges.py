"""Who was merged into a record: a loser stays in the recycle bin and names its master there.

"Merge" of the Object Reference's pages for Account, Contact and Lead: ``MasterRecordId``. What was merged into a loser
before goes on naming that loser, so the trail is walked to its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crmsync.models.records import Record
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.retrieving import query_all
from crmsync.providers.salesforce.rows import RowReader

MASTER: Final = "MasterRecordId"


async def merged_into(client: SalesforceClient, reader: RowReader, survivors: Iterable[str]) -> list[Record]:
    """The tombstones of all that was folded into these records (18-character ids), directly or by way of others.

    One query for as many ids as fit into a URI, and one more for each step that the trail goes back.
    """
    if not reader.sobject.tells_merges:
        return []
    found: dict[str, Record] = {}
    wanted = list(dict.fromkeys(survivors))
    while wanted:
        statements = soql.select_in(reader.columns((), deleted=True), reader.sobject.schema.name, MASTER, wanted)
        rows = [row for statement in statements for row in await query_all(client, statement, deleted=True)]
        losers = [loser for row in rows if (loser := reader.record(row, ())).merged_into and loser.id not in found]
        found |= {loser.id: loser for loser in losers}
        wanted = [loser.id for loser in losers]
    return list(found.values())
