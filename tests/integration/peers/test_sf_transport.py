"""crmsync through the real ``sf`` command, as where only that may reach the org."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from crmsync.engine import RunBudget, SystemClock
from crmsync.models.records import Operation, OperationKind, Outcome, OutcomeStatus, Record
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.salesforce import RunningEmulator
from tests.integration.peers.sf import Cli, sf_command, signed_in_by_assertion
from tests.integration.shell import Done, Shell, rows, shell

SIDE = 250


def through_sf(made: Shell, sf: str = "") -> None:
    """Configure the CLI as the transport; ``sf`` are more of its settings."""
    settings = f'transport = "sf"\nsf = {{ command = {json.dumps(sf_command())}{sf} }}\nlook_back_seconds = 60'
    reconfigure(made, "look_back_seconds = 60", settings)


def through_a_stored_login(made: Shell) -> None:
    """Configure the CLI as the transport with a login that it alone has: neither a token nor the org's address."""
    home = made.directory / "sf"
    home.mkdir(0o700)
    assert signed_in_by_assertion(Cli(home), made.emulator, "--alias", "acme").code == 0
    through_sf(made, f', org = "acme", home = {json.dumps(str(home))}')
    reconfigure(made, '[integrations.credentials]\naccess_token = "env:SF_TOKEN"\n', "")
    reconfigure(made, f'instance_url = "{made.emulator.url}"\n', "")


def reconfigure(made: Shell, old: str, new: str) -> None:
    """Put something else in place of a part of the configuration."""
    file = made.directory / "crmsync.toml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_two_way_sync_of_hundreds_goes_through_the_cli_by_the_login_that_it_has_stored(tmp_path: Path) -> None:
    people = "id,email,first_name,last_name,company,phone\n" + "".join(
        f'{number},local{number}@example.org,Zoë {number},"O\'Brien, {number}",,\n' for number in range(SIDE)
    )
    with shell(tmp_path, people) as made:
        through_a_stored_login(made)
        org = made.emulator.org
        given, asked = org.calls["POST /services/oauth2/token"], org.api_calls
        for number in range(SIDE):
            org.create("Contact", {"LastName": f"Köhler {number}", "Email": f"remote{number}@example.org"})

        first = made.run("sync", "--format", "json")
        assert first.code == 0, first.err
        contacts = {contact["Email"]: contact for contact in made.contacts()}
        assert len(contacts) == 2 * SIDE
        assert contacts["local7@example.org"]["LastName"] == "O'Brien, 7"
        assert contacts["local7@example.org"]["MarkMail_Id__c"] == "7"
        assert len(rows(tmp_path / "people.csv")) == 1 + 2 * SIDE

        # What the CLI asks by itself is in the run's count, which the budget is held to. Before the run the file's
        # mapping is held against the org: one more request, of two calls.
        counted = run_of(first)["remote"]["api_calls"] + 2
        assert org.api_calls - asked <= counted <= org.api_calls - asked + 4

        # One edit on each side, that of the org is named by getUpdated from now on, and the session that the CLI has is
        # over: it renews it by itself.
        reconfigure(made, 'transport = "sf"', 'transport = "sf"\nchanges = "get_updated"')
        org.expire_sessions()
        org.update("Contact", contacts["remote3@example.org"]["Id"], {"Phone": "+49 30 1234"})
        text = (tmp_path / "people.csv").read_text(encoding="utf-8").replace("Zoë 9,", "Chloé,")
        (tmp_path / "people.csv").write_text(text, encoding="utf-8")
        second = made.run("sync", "--format", "json")
        assert second.code == 0, second.err
        assert {contact["FirstName"] for contact in made.contacts() if contact["MarkMail_Id__c"] == "9"} == {"Chloé"}
        assert any("remote3@example.org" in line and "+49 30 1234" in line for line in rows(tmp_path / "people.csv"))

        assert (run_of(second)["local"]["written"], run_of(second)["remote"]["written"]) == (1, 1)
        assert org.calls["POST /services/oauth2/token"] == given + 1
        assert org.calls["GET /sobjects/{object}/updated"] == 1


def run_of(done: Done) -> dict[str, Any]:
    """The one run that a command reports."""
    [run] = done.json["runs"]
    return dict(run)


async def _people_and_away(emulator: RunningEmulator, met: str) -> tuple[list[Outcome], dict[str, Record]]:
    """Make a lead and change a contact through ``Person``, read both, and end the token that all of it went by.

    Each command takes a second of a core.
    """
    settings = {
        "instance_url": emulator.url,
        "allow_insecure_loopback": True,
        "api_version": "62.0",
        "people": "lead_then_contact",
        "transport": "sf",
        "sf": {"command": sf_command()},
    }
    credentials = {"access_token": SecretStr(emulator.access_token)}
    context = ProviderContext(SystemClock(), RunBudget())
    async with SalesforceProviderFactory().open(settings, credentials, context) as provider:
        store = await provider.records("Person")
        ada = {"LastName": "Lovelace", "Email": "ada@example.org", "Company": "Engines"}
        operations = [
            Operation("ada", OperationKind.CREATE, None, key="1", fields=ada),
            Operation("met", OperationKind.UPDATE, met, fields={"Phone": "2"}),
        ]
        outcomes = list(await store.write(operations))
        ids = [outcome.id or "" for outcome in outcomes]
        found = dict(await store.get(ids, fields=("LastName", "Phone", "Company")))
        assert await provider.revoke()
        return outcomes, found


def test_contacts_and_leads_go_through_the_cli_as_people_until_it_disconnects(emulator: RunningEmulator) -> None:
    met = emulator.org.create("Contact", {"LastName": "Ng", "Email": "bo@x.org"})
    outcomes, records = anyio.run(_people_and_away, emulator, met)
    assert [outcome.status for outcome in outcomes] == [OutcomeStatus.CREATED, OutcomeStatus.UPDATED]
    [lead] = emulator.org.records("Lead")
    assert (lead["Id"], lead["Company"], lead["MarkMail_Id__c"]) == (outcomes[0].id, "Engines", "1")
    assert {record.id: record.fields.get("Company", record.fields["Phone"]) for record in records.values()} == {
        lead["Id"]: "Engines",
        met: "2",
    }
    assert emulator.org.oauth.session(emulator.access_token, emulator.org.now()) is None, "the token lives on"


def test_a_dead_token_ends_the_run_as_a_refused_login(tmp_path: Path) -> None:
    with shell(tmp_path) as made:
        through_sf(made)
        made.emulator.org.expire_sessions()
        done = made.run("plan")
    assert done.code != 0
    assert "INVALID_SESSION_ID" in done.err
    assert made.emulator.access_token not in done.out + done.err
