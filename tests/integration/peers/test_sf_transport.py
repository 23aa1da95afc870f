"""crmsync through the real ``sf`` command, as where only that may reach the org."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.peers.sf import sf_command
from tests.integration.shell import Done, Shell, rows, shell

SIDE = 250


def through_sf(made: Shell) -> None:
    """Configure the CLI as the transport."""
    file = made.directory / "crmsync.toml"
    settings = f'transport = "sf"\nsf = {{ command = {json.dumps(sf_command())} }}\nlook_back_seconds = 60'
    file.write_text(file.read_text(encoding="utf-8").replace("look_back_seconds = 60", settings), encoding="utf-8")


def test_a_two_way_sync_of_hundreds_goes_through_the_cli(tmp_path: Path) -> None:
    people = "id,email,first_name,last_name,company,phone\n" + "".join(
        f'{number},local{number}@example.org,Zoë {number},"O\'Brien, {number}",,\n' for number in range(SIDE)
    )
    with shell(tmp_path, people) as made:
        through_sf(made)
        org = made.emulator.org
        for number in range(SIDE):
            org.create("Contact", {"LastName": f"Köhler {number}", "Email": f"remote{number}@example.org"})

        first = made.run("sync", "--format", "json")
        assert first.code == 0, first.err
        contacts = {contact["Email"]: contact for contact in made.contacts()}
        assert len(contacts) == 2 * SIDE
        assert contacts["local7@example.org"]["LastName"] == "O'Brien, 7"
        assert contacts["local7@example.org"]["MarkMail_Id__c"] == "7"
        assert len(rows(tmp_path / "people.csv")) == 1 + 2 * SIDE

        # What the CLI asks by itself is in the run's count, which the budget is held to.
        counted = run_of(first)["remote"]["api_calls"]
        assert org.api_calls <= counted <= org.api_calls + 4

        # One edit on each side.
        org.update("Contact", contacts["remote3@example.org"]["Id"], {"Phone": "+49 30 1234"})
        text = (tmp_path / "people.csv").read_text(encoding="utf-8").replace("Zoë 9,", "Chloé,")
        (tmp_path / "people.csv").write_text(text, encoding="utf-8")
        second = made.run("sync", "--format", "json")
        assert second.code == 0, second.err
        assert {contact["FirstName"] for contact in made.contacts() if contact["MarkMail_Id__c"] == "9"} == {"Chloé"}
        assert any("remote3@example.org" in line and "+49 30 1234" in line for line in rows(tmp_path / "people.csv"))

        assert (run_of(second)["local"]["written"], run_of(second)["remote"]["written"]) == (1, 1)

        third = made.run("sync", "--format", "json")
        assert (third.code, run_of(third)["written"]) == (0, 0)


def run_of(done: Done) -> dict[str, Any]:
    """The one run that a command reports."""
    [run] = done.json["runs"]
    return dict(run)


def test_a_dead_token_ends_the_run_as_a_refused_login(tmp_path: Path) -> None:
    with shell(tmp_path) as made:
        through_sf(made)
        made.emulator.org.expire_sessions()
        done = made.run("plan")
    assert done.code != 0
    assert "INVALID_SESSION_ID" in done.err
    assert made.emulator.access_token not in done.out + done.err
