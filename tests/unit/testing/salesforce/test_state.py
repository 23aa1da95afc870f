"""Dumped states: consistent, loadable, and refused with the reason where they are not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import SalesforceOrg, dump_state, load_file, load_state, running_emulator

State = dict[str, Any]


def filled() -> SalesforceOrg:
    """An org with something of everything."""
    org = SalesforceOrg()
    account = org.create("Account", {"Name": "Acme"})
    contact = org.create("Contact", {"LastName": "Ada", "AccountId": account})
    campaign = org.create("Campaign", {"Name": "Spring"})
    org.create("CampaignMember", {"CampaignId": campaign, "ContactId": contact, "Status": "Responded"})
    org.create("EmailMessage", {"Subject": "Hello", "Status": "3", "ToIds": [contact]})
    org.delete("Account", account)
    return org


def test_a_state_brings_everything_back() -> None:
    org = filled()
    state = json.loads(json.dumps(dump_state(org)))
    other = SalesforceOrg()
    other.create("Contact", {"LastName": "Gone"})
    load_state(other, state)
    assert json.loads(json.dumps(dump_state(other)))["objects"] == state["objects"]
    other.undelete("Account", other.records("Account", deleted=True)[0]["Id"])
    assert [row["LastName"] for row in other.records("Contact")] == ["Ada"]
    assert other.records("Campaign")[0]["NumberOfResponses"] == 1
    fresh = other.create("Contact", {"LastName": "Bo"})
    assert fresh not in {row["Id"] for row in state["objects"]["Contact"]["rows"]}


def test_a_state_brings_its_time_with_it() -> None:
    org = SalesforceOrg()
    org.advance(86_400)
    org.create("Contact", {"LastName": "Ada"})
    other = SalesforceOrg()
    load_state(other, dump_state(org))
    assert abs((other.now() - org.now()).total_seconds()) < 5
    other.create("Contact", {"LastName": "Bo"})
    first, second = (row["SystemModstamp"] for row in other.records("Contact"))
    assert first <= second


def test_a_state_of_an_older_emulator_gets_what_is_new() -> None:
    state = dump_state(filled())
    for name in ("Campaign", "CampaignMember", "CampaignMemberStatus", "Task", "EmailMessage"):
        del state["objects"][name]
    (row,) = state["objects"]["Contact"]["rows"]
    del row["HasOptedOutOfEmail"]
    other = filled()
    load_state(other, state)
    assert other.records("Campaign") == []
    assert other.records("Contact", deleted=True)[0]["HasOptedOutOfEmail"] is False
    assert len(other.records("User")) == 2


def _without_rows(state: State) -> None:
    del state["objects"]["Contact"]["rows"]


def _with_odd_rows(state: State) -> None:
    state["objects"]["Contact"]["rows"] = ["Ada"]


def _without_an_id(state: State) -> None:
    del state["objects"]["Contact"]["rows"][0]["Id"]


def _with_an_id_twice(state: State) -> None:
    state["objects"]["Contact"]["rows"] *= 2


def _without_a_serial(state: State) -> None:
    state["objects"]["Lead"]["serial"] = None


def _with_odd_sign_in(state: State) -> None:
    state["oauth"] = {"apps": 5}


def _with_odd_jobs(state: State) -> None:
    state["bulk"] = {"jobs": 5}


def _newer(state: State) -> None:
    state["format"] = 99


@pytest.mark.parametrize(
    "damage,reason",
    [
        (_without_rows, "damaged state: its Contact records"),
        (_with_odd_rows, "damaged state: its Contact records"),
        (_without_an_id, "damaged state: its Contact records"),
        (_with_an_id_twice, "damaged state: its Contact records"),
        (_without_a_serial, "damaged state: its Lead records"),
        (_with_odd_sign_in, "not a sign-in state of this emulator"),
        (_with_odd_jobs, "bulk jobs"),
        (_newer, "a state of format 99, from a newer emulator"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage: Callable[[State], None], reason: str) -> None:
    state = json.loads(json.dumps(dump_state(filled())))
    damage(state)
    org = SalesforceOrg()
    org.create("Contact", {"LastName": "Stays"})
    before = json.dumps({**dump_state(org), "now": None}, sort_keys=True)
    with pytest.raises(ValueError, match=reason):
        load_state(org, state)
    assert json.dumps({**dump_state(org), "now": None}, sort_keys=True) == before


def test_a_cut_off_file_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "org.json"
    path.write_text(json.dumps(dump_state(filled()))[:-20])
    with pytest.raises(ValueError, match=r"org\.json is no JSON document"):
        load_file(SalesforceOrg(), path)


def test_a_dump_is_of_a_moment_between_two_calls() -> None:
    with running_emulator() as emulator:
        record = {"attributes": {"type": "Contact"}, "LastName": "Ada"}
        done = threading.Event()

        def write() -> None:
            headers = {"Authorization": f"Bearer {emulator.access_token}"}
            with httpx2.Client(base_url=emulator.url, headers=headers) as client:
                while not done.is_set():
                    client.post("/services/data/v68.0/composite/sobjects", json={"records": [record] * 7})

        writer = threading.Thread(target=write)
        writer.start()
        try:
            counts: list[int] = []
            with httpx2.Client(base_url=emulator.url) as client:
                while len(set(counts)) < 5:
                    state = client.get("/__emulator__/state").json()
                    counts.append(len(state["objects"]["Contact"]["rows"]))
        finally:
            done.set()
            writer.join()
    assert [count % 7 for count in counts] == [0] * len(counts)
