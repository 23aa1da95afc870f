"""The control API, and the state that outlives a process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from crmsync.testing.salesforce import (
    OTHER_USER_ID,
    SalesforceOrg,
    create_app,
    dump_state,
    load_file,
    load_state,
    save_file,
)

pytestmark = pytest.mark.anyio

CONTROL = "/__emulator__"
CONTACT = "/services/data/v68.0/sobjects/Contact"


async def post(client: httpx2.AsyncClient, path: str, body: Any) -> Any:
    """Call the control API and return its answer."""
    response = await client.post(f"{CONTROL}/{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def test_it_is_not_served_unless_asked_for(org: SalesforceOrg) -> None:
    transport = httpx2.ASGITransport(app=create_app(org))
    async with httpx2.AsyncClient(transport=transport, base_url="http://org.example") as client:
        assert (await client.get(CONTROL)).status_code == 404


async def test_records_are_saved_read_and_deleted_as_another_user(
    client: httpx2.AsyncClient, org: SalesforceOrg
) -> None:
    created = await post(client, "records", {"object": "Contact", "records": [{"LastName": "A"}, {"LastName": "B"}]})
    first, second = created["ids"]
    changed = {"object": "Contact", "records": [{"Id": first, "LastName": "C"}]}
    assert await post(client, "records", changed) == {"ids": [first]}
    await post(client, "records/delete", {"object": "Contact", "ids": [second]})
    live = (await post(client, "records/read", {"object": "Contact"}))["records"]
    assert [(row["Id"], row["LastName"], row["LastModifiedById"]) for row in live] == [(first, "C", OTHER_USER_ID)]
    everything = (await post(client, "records/read", {"object": "Contact", "deleted": True}))["records"]
    assert [row["IsDeleted"] for row in everything] == [False, True]
    assert org.api_calls == 0


async def test_it_tells_the_clock_and_the_counters(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    org.create("Contact", {"LastName": "A"})
    await client.get("/services/data/v68.0/limits")
    assert await post(client, "advance", {"seconds": 90}) == {"now": "2026-11-24T20:35:56.000+0000"}
    status = (await client.get(CONTROL)).json()
    counts = status.pop("records")
    assert status == {"now": "2026-11-24T20:35:56.000+0000", "api_calls": 1, "calls": {"GET /limits": 1}}
    assert {name: count for name, count in counts.items() if count} == {"Contact": 1, "User": 2, "Organization": 1}
    assert counts["CampaignMember"] == 0
    await post(client, "reset-counters", {})
    assert (await client.get(CONTROL)).json()["calls"] == {}


async def test_faults_are_set_from_outside(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    await post(client, "faults", {"fail": {"status": 500, "method": "POST"}, "latency": 0.01, "late": 60})
    assert org.faults.latency == 0.01
    assert (await client.post(CONTACT, json={"LastName": "A"})).status_code == 500
    late = (await client.post(CONTACT, json={"LastName": "A"})).json()["id"]
    assert (await client.get(f"{CONTACT}/{late}")).status_code == 404
    rule = {"object": "Contact", "field": "LastName", "equals": "B", "code": "UNABLE_TO_LOCK_ROW", "times": 1}
    await post(client, "faults", {"clear": True, "reject": rule, "drop": {"path": "limits"}})
    await post(client, "faults", {"hold": {"seconds": 0.01, "times": 2}})
    answers = [(await client.post(CONTACT, json={"LastName": "B"})).status_code for _ in range(2)]
    assert answers == [400, 201]
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.get("/services/data/v68.0/limits")


@pytest.mark.parametrize(
    "method,path,content",
    [
        ("POST", "advance", b"{}"),
        ("POST", "advance", b"nonsense"),
        ("POST", "records", b'{"object": "Contact", "records": [{"FirstName": "A"}]}'),
        ("POST", "records", b'{"object": "Nope", "records": [{}]}'),
        ("POST", "records", b'{"object": "Contact", "records": [{"LastName": "A", "Birthdate": "soon"}]}'),
        ("POST", "faults", b'{"fail": {"nonsense": 1}}'),
        ("PUT", "state", b'{"format": 99}'),
        ("POST", "save", b"{}"),
    ],
)
async def test_a_wrong_control_call_is_told_why_and_changes_nothing(
    client: httpx2.AsyncClient, org: SalesforceOrg, method: str, path: str, content: bytes
) -> None:
    org.create("Contact", {"LastName": "Kept"})
    before = dump_state(org)["objects"]["Contact"]["rows"]
    response = await client.request(method, f"{CONTROL}/{path}", content=content)
    assert response.status_code == 400
    assert response.json()["error"]
    assert dump_state(org)["objects"]["Contact"]["rows"] == before


async def test_a_dumped_state_loaded_elsewhere_is_the_same_org(client: httpx2.AsyncClient, org: SalesforceOrg) -> None:
    kept = org.create("Contact", {"LastName": "A", "MarkMail_Id__c": "m1", "Email": "a@x.example"})
    gone = org.create("Contact", {"LastName": "B"})
    org.delete("Contact", gone)
    state = (await client.get(f"{CONTROL}/state")).json()
    other = SalesforceOrg()
    load_state(other, json.loads(json.dumps(state)))
    assert other.records("Contact", deleted=True) == org.records("Contact", deleted=True)
    assert other.upsert("Contact", "MarkMail_Id__c", "m1", {"LastName": "C"}).id == kept
    assert other.create("Contact", {"LastName": "D"}) not in (kept, gone)
    org.update("Contact", kept, {"LastName": "Z"})
    assert (await client.put(f"{CONTROL}/state", json=state)).status_code == 200
    assert [row["LastName"] for row in org.records("Contact")] == ["A"]


def test_a_state_file_is_replaced_whole_and_kept_when_it_is_not_one(org: SalesforceOrg, tmp_path: Path) -> None:
    path = tmp_path / "org.json"
    assert load_file(org, path) is False
    org.create("Contact", {"LastName": "Zoë"})
    save_file(org, path)
    other = SalesforceOrg()
    assert load_file(other, path) is True
    assert [row["LastName"] for row in other.records("Contact")] == ["Zoë"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["org.json"]
    for text in ("", "[]", '{"format": 1}', "{"):
        path.write_text(text)
        with pytest.raises(ValueError, match="not a state of this emulator"):
            load_file(other, path)
    assert len(other.records("Contact")) == 1


def test_a_state_of_an_org_with_other_fields_loses_only_those(org: SalesforceOrg) -> None:
    org.create("Contact", {"LastName": "A", "MarkMail_Id__c": "m1", "HasOptedOutOfEmail": True})
    bare = SalesforceOrg(external_id_field=False, hide_opt_out=True)
    load_state(bare, dump_state(org))
    (row,) = bare.records("Contact")
    assert row["LastName"] == "A"
    assert "MarkMail_Id__c" not in row
