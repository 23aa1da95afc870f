"""An org with person accounts, both ways: through the engine and over HTTP, and by the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crmsync.models.mappings import DeletePolicy, ObjectMapping, two_way
from crmsync.models.schema import FieldType
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import SalesforceOrg, running_emulator
from tests.integration.emulated import connected
from tests.integration.people import crm_ids
from tests.integration.shell import PEOPLE, shell

MAPPING = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("last_name", "LastName", required=True),
        two_way("company", "Account.Name"),
        two_way("opted_out", "HasOptedOutOfEmail", field_type=FieldType.BOOLEAN),
    ),
    delete_in_crm=DeletePolicy.PROPAGATE,
    delete_in_local=DeletePolicy.PROPAGATE,
)


def person(org: SalesforceOrg, last_name: str, email: str) -> dict[str, Any]:
    """Add a person account."""
    found = org.get("Account", org.create("Account", {"LastName": last_name, "PersonEmail": email}))
    assert found is not None
    return found


@pytest.mark.anyio
async def test_persons_and_businesses_sync_side_by_side_both_ways() -> None:
    local = MemoryRecordStore("subscribers")
    ada = local.add(email="ada@example.com", last_name="Byron", company=None, opted_out=False)
    bea = local.add(email="bea@example.com", last_name="Bea", company="Acme", opted_out=False)
    with running_emulator(person_accounts=True) as emulator:
        org = emulator.org
        account = person(org, "Byron", "ada@example.com")
        born = person(org, "Cleo", "cleo@example.com")
        async with connected(emulator, {"Contact": MAPPING}, accounts="create") as app:
            first = await app.sync("main", "Contact", local)
            assert first.problems == ()
            assert await crm_ids(app, "Contact", ada) == [account["PersonContactId"]]
            assert {row["last_name"]: row.get("company") for row in local.snapshot().values()} == {
                "Byron": None,
                "Bea": "Acme",
                "Cleo": None,
            }
            assert next(row["MarkMail_Id__pc"] for row in org.records("Account")) == ada

            local.edit(ada, last_name="Lovelace")
            org.update("Account", account["Id"], {"PersonHasOptedOutOfEmail": True})
            org.update("Account", born["Id"], {"LastName": "Cleopatra"})
            second = await app.sync("main", "Contact", local)
            assert second.problems == ()
            assert {row["last_name"]: row["opted_out"] for row in local.snapshot().values()} == {
                "Lovelace": True,
                "Bea": False,
                "Cleopatra": False,
            }
            assert [row["Name"] for row in org.records("Account")] == ["Lovelace", "Cleopatra", "Acme"]
            assert (await app.sync("main", "Contact", local)).written == 0

            local.edit(ada, company="Engines")
            third = await app.sync("main", "Contact", local)
            assert (third.written, third.problems) == (0, ())
            assert local.snapshot()[ada]["company"] == "Engines"
            assert len(org.records("Account")) == 3

            local.remove(ada)
            local.remove(bea)
            org.delete("Account", born["Id"])
            await app.sync("main", "Contact", local)
            await app.sync("main", "Contact", local)
            assert local.snapshot() == {}
            assert org.records("Contact") == []
            assert [row["Name"] for row in org.records("Account")] == ["Acme"]


@pytest.mark.anyio
async def test_new_people_become_persons_and_stay_in_step() -> None:
    local = MemoryRecordStore("subscribers")
    ada = local.add(email="ada@example.com", last_name="Byron", company=None, opted_out=False)
    local.add(email="bea@example.com", last_name="Bea", company="Acme", opted_out=True)
    with running_emulator(person_accounts=True) as emulator:
        org = emulator.org
        settings = {"accounts": "create", "person_accounts": "create"}
        async with connected(emulator, {"Contact": MAPPING}, None, **settings) as app:
            plan = await app.plan("main", "Contact", local)
            before = org.api_calls
            await app.apply(plan, local)
            assert plan.calls is not None
            assert org.api_calls - before <= plan.calls.most
            assert {row["Name"]: row["IsPersonAccount"] for row in org.records("Account")} == {
                "Acme": False,
                "Byron": True,
            }
            [account] = [row for row in org.records("Account") if row["IsPersonAccount"]]
            assert await crm_ids(app, "Contact", ada) == [account["PersonContactId"]]
            assert account["MarkMail_Id__pc"] == ada
            assert (await app.sync("main", "Contact", local)).written == 0
            org.update("Account", account["Id"], {"LastName": "Lovelace"})
            local.edit(ada, opted_out=True)
            report = await app.sync("main", "Contact", local)
            assert report.problems == ()
            assert local.snapshot()[ada]["last_name"] == "Lovelace"
            assert [row["PersonHasOptedOutOfEmail"] for row in org.records("Account") if row["IsPersonAccount"]] == [
                True
            ]
            assert (await app.sync("main", "Contact", local)).written == 0


def test_a_person_account_is_told_of_updated_and_deleted_by_the_command_line(tmp_path: Path) -> None:
    with shell(tmp_path, person_accounts=True) as sh:
        org, config, people = sh.emulator.org, tmp_path / "crmsync.toml", tmp_path / "people.csv"
        match = "[integrations.objects.Contact.match]"
        deletes = f'[integrations.objects.Contact]\ndelete_in_crm = "propagate"\n{match}'
        config.write_text(config.read_text("utf-8").replace(match, deletes), encoding="utf-8")
        account = person(org, "Hansen", "bjorn@example.org")
        assert "this org has person accounts" in " ".join(sh.run("connect", "--test").out.split())
        assert sh.run("sync", "--format", "json").json["runs"][0]["status"] == "success"
        held = org.get("Account", account["Id"])
        assert held is not None
        assert (held["FirstName"], held["Phone"], held["MarkMail_Id__pc"]) == ("Bjørn", "+47 22 44 22 22", "4")
        people.write_text("".join(PEOPLE.splitlines(keepends=True)[:4]), encoding="utf-8")
        assert sh.run("sync", "--format", "json").json["runs"][0]["remote"]["deleted"] == 1
        assert org.records("Account") == []
        assert len(org.records("Contact")) == 3
