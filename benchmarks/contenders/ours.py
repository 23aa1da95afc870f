"""crmsync's own provider: ``upsert CHANNEL[+back]`` or ``read WAY[+one]``, where one query job reads everything.

Settings come in the environment; see salesforce.py.
"""

from __future__ import annotations

import csv
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
from pydantic import SecretStr

from crmsync.engine import RunBudget, SystemClock
from crmsync.models.records import Operation, OperationKind
from crmsync.protocols.provider import ProviderContext
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProviderFactory

FIELDS = ("Email", "FirstName", "LastName", "Phone")


def rows() -> Iterator[dict[str, str]]:
    """The rows of the file, one after the other."""
    with Path(os.environ["ROWS"]).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


async def upsert(store: RecordStore) -> int:
    """Every row of the file; how many took effect."""
    done, batch, size = 0, list[Operation](), store.limits.write_batch
    for row in rows():
        key = row.pop("MarkMail_Id__c")
        batch.append(Operation(key, OperationKind.CREATE, None, key=key, fields=row))
        if len(batch) == size:
            done += sum(outcome.ok for outcome in await store.write(batch))
            batch.clear()
            size = store.limits.write_batch
    return done + sum(outcome.ok for outcome in await store.write(batch)) if batch else done


async def read(store: RecordStore) -> int:
    """Every record; how many there were."""
    cursor, more, count = None, True, 0
    while more:
        page = await store.changes(cursor, fields=FIELDS)
        cursor, more = page.cursor, page.has_more
        count += len(page.records)
    return count


async def main(task: str, way: str) -> None:
    chosen = "channel" if task == "upsert" else "first_read"
    settings = {"instance_url": os.environ["URL"], "allow_insecure_loopback": True, "api_version": "62.0"}
    settings |= {chosen: way.partition("+")[0], "read_back": way.endswith("+back")}
    settings |= {"bulk_read_ranges": 1} if way.endswith("+one") else {}
    credentials = {"access_token": SecretStr(os.environ["TOKEN"])}
    context = ProviderContext(SystemClock(), RunBudget())
    began = time.perf_counter()
    async with SalesforceProviderFactory().open(settings, credentials, context) as provider:
        store = await provider.records("Contact")
        done = await (upsert(store) if task == "upsert" else read(store))
    print(json.dumps({"done": done, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "auto")
    gc.freeze()  # as crmsync's command line does: what ends looks for no garbage
