"""`SfCommandClient` with the real ``sf`` command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from crmsync.errors import AuthenticationError, ConfigurationError, ConversionError, RejectedError, SchemaChangedError
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.sf.commands import SfCommandClient, open_command_client
from crmsync.providers.salesforce.sf.options import SfOptions
from crmsync.testing.salesforce import RunningEmulator
from tests.integration.peers.sf import sf_command

pytestmark = pytest.mark.anyio


@pytest.fixture
def org(emulator: RunningEmulator) -> Any:
    return emulator.org


@pytest.fixture
async def sf(emulator: RunningEmulator) -> AsyncIterator[SfCommandClient]:
    settings = SalesforceSettings(
        instance_url=emulator.url, allow_insecure_loopback=True, sf=SfOptions(command=sf_command())
    )
    async with open_command_client(settings, SecretStr(emulator.access_token)) as client:
        yield client


async def test_single_records_are_saved_with_their_exact_values(sf: SfCommandClient, org: Any) -> None:
    made = await sf.create("Contact", {"LastName": """O'Brien "the" Zoë""", "Title": "Dr"})
    await sf.update("Contact", made, {"Title": None})
    assert (org.get("Contact", made)["LastName"], org.get("Contact", made)["Title"]) == ("""O'Brien "the" Zoë""", None)
    [row] = await sf.query("SELECT Id FROM Contact")
    assert row["Id"] == made
    with pytest.raises(RejectedError, match="REQUIRED_FIELD_MISSING"):
        await sf.create("Contact", {"FirstName": "A"})
    await sf.delete("Contact", made)
    assert org.get("Contact", made)["IsDeleted"] is True


async def test_it_describes_reads_limits_and_names_faults(sf: SfCommandClient, org: Any) -> None:
    assert {field["name"] for field in (await sf.describe("Contact"))["fields"]} >= {"Email", "LastName"}
    assert (await sf.limits())["DailyApiRequests"][0] == org.daily_limit
    with pytest.raises(SchemaChangedError, match="no field Nope__c"):
        await sf.query("SELECT Nope__c FROM Contact")
    org.expire_sessions()
    with pytest.raises(AuthenticationError):
        await sf.query("SELECT Id FROM Contact")


async def test_bulk_rows_have_their_outcomes_in_order(sf: SfCommandClient, org: Any) -> None:
    rows: list[dict[str, object]] = [
        {"MarkMail_Id__c": "m-1", "LastName": 'Quoted, "name"', "Email": "a@example.org"},
        {"MarkMail_Id__c": "m-2", "LastName": "Wu", "Email": "no address"},
        {"MarkMail_Id__c": "m-3", "LastName": "#N/A", "Email": None},
        {"MarkMail_Id__c": "m-4", "LastName": "Ng", "Email": None},
    ]
    first, second, third, fourth = await sf.upsert_bulk("Contact", "MarkMail_Id__c", rows)
    assert (first.created, first.error, fourth.created) == (True, None, True)
    assert isinstance(second.error, RejectedError)
    assert second.error.code == "INVALID_EMAIL_ADDRESS"
    assert isinstance(third.error, ConversionError)
    [updated] = await sf.update_bulk("Contact", [{"Id": first.id, "Title": "Dr", "Email": None}])
    [deleted] = await sf.delete_bulk("Contact", [str(fourth.id)])
    assert (updated.id, updated.error, deleted.id, deleted.error) == (first.id, None, fourth.id, None)
    [left] = org.records("Contact")
    assert (left["LastName"], left["Title"], left["Email"]) == ('Quoted, "name"', "Dr", None)
    assert await sf.export_bulk("SELECT LastName, Email FROM Contact") == [{"LastName": 'Quoted, "name"', "Email": ""}]


async def test_single_records_are_refused_above_a_handful(sf: SfCommandClient, org: Any) -> None:
    made = org.create("Contact", {"LastName": "Ng"})
    for number in range(5):
        await sf.update("Contact", made, {"Title": f"Title {number}"})
    # Looking each one up before does not make it another use.
    await sf.query("SELECT Id FROM Contact")
    with pytest.raises(ConfigurationError, match="upsert_bulk"):
        await sf.update("Contact", made, {"Title": "one too many"})
    assert org.get("Contact", made)["Title"] == "Title 4"


async def test_what_else_is_printed_beside_the_answer_does_no_harm(emulator: RunningEmulator, tmp_path: Path) -> None:
    """Node.js loads what prints before the command, as a hook of a plugin may, and after it."""
    notices, said = tmp_path / "notices.cjs", tmp_path / "said"
    notices.write_text(
        f"require('fs').writeFileSync({json.dumps(str(said))}, '');"
        "console.log('Warning: update available {'); process.on('exit', () => console.log('{bye}'));"
    )
    *before, program = sf_command()
    options = SfOptions(command=(*before, "--require", str(notices), program))
    settings = SalesforceSettings(instance_url=emulator.url, allow_insecure_loopback=True, sf=options)
    async with open_command_client(settings, SecretStr(emulator.access_token)) as client:
        made = await client.create("Contact", {"LastName": "Köhler"})
    contact = emulator.org.get("Contact", made)
    assert contact is not None
    assert contact["LastName"] == "Köhler"
    assert said.exists()
