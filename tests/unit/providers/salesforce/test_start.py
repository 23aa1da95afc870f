"""A process that connects loads what it needs, when it needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPENED = """
import sys, anyio, httpx2
from crmsync.engine import RunBudget, SystemClock
from crmsync.errors import SchemaChangedError
from crmsync.models.secrets import Secret
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory

FIELD = {"name": "Id", "type": "id", "createable": False, "nillable": False, "updateable": False}
late = ("stores", "records", "writing", "loading", "tags", "people.store", "accounts.writer", "sf.process")

def loaded():
    names = {**{f"crmsync.providers.salesforce.{name}": name for name in late}, "crmsync.diff": "diff"}
    return [short for name, short in names.items() if name in sys.modules]

def answer(request):
    print(*loaded(), sep=",")
    if request.url.path.endswith("/Contact/describe"):
        return httpx2.Response(200, json={"name": "Contact", "fields": [FIELD], "replicateable": True})
    if request.url.path == "/services/data":
        return httpx2.Response(200, json=[{"version": "62.0"}])
    return httpx2.Response(404, json=[{"errorCode": "NOT_FOUND", "message": ""}])

async def main(people, name):
    settings = {"instance_url": "https://acme.my.salesforce.com", "api_version": "62.0", "people": people}
    transport = httpx2.MockTransport(answer)
    context = ProviderContext(SystemClock(), RunBudget())
    async with SalesforceProviderFactory(transport).open(settings, {"access_token": Secret("t")}, context) as provider:
        print(*loaded(), sep=",")
        try:
            print((await provider.records(name)).name)
        except SchemaChangedError as error:
            print(error)
    print(*loaded(), sep=",")

anyio.run(main, *sys.argv[1:3], backend=sys.argv[3])
"""


def opened(*arguments: str) -> list[str]:
    """What a fresh process says that opens a store."""
    command = [sys.executable, "-c", OPENED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_opens_stores_is_loaded_after_the_describe_has_left(backend: str) -> None:
    before, asked, name, after = opened("contact", "Contact", backend)
    assert (before, asked) == ("", "")
    assert name == "Contact"
    assert after == "stores,records,writing,loading,tags,people.store,accounts.writer", "the CLI is not needed"


def test_an_object_that_is_not_there_says_so_the_first_time_too() -> None:
    assert "the org has no object 'Lead'" in "\n".join(opened("lead", "Lead", "asyncio"))
