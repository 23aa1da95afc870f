"""aiosalesforce, whose HTTP client leads its requests, made for a host of Salesforce's, to the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crmsync.testing.salesforce import (
    API_USER_ID,
    API_USERNAME,
    EMULATOR_APP,
    EMULATOR_PASSWORD,
    OAuthApp,
    RunningEmulator,
)
from tests.integration.peers.conftest import Authority
from tests.integration.peers.coverage import exercises
from tests.integration.peers.peer import Peer, PeerError, python_peer

PRELUDE = """
import httpx
from aiosalesforce import ClientCredentialsFlow, JwtBearerFlow, RetryPolicy, Salesforce, SoapLogin

class ToTheEmulator(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request):
        request.url = request.url.copy_with(host=given["host"], port=given["port"])
        return await super().handle_async_request(request)

def client(auth, **options):
    http = httpx.AsyncClient(transport=ToTheEmulator(verify=given["certificate"]), timeout=30)
    return Salesforce(http, "https://acme.my.salesforce.com", auth, version="64.0", **options)

app = ClientCredentialsFlow(given["key"], given["secret"])
sf = client(app)
"""


@pytest.fixture
def peer(secure_emulator: RunningEmulator, authority: Authority) -> Peer:
    host, _, port = secure_emulator.url.removeprefix("https://").partition(":")
    return python_peer(
        "clients",
        PRELUDE,
        authority.certificate,
        host=host,
        port=int(port),
        certificate=str(authority.certificate),
        key=EMULATOR_APP.client_id,
        secret=EMULATOR_APP.client_secret,
    )


@pytest.fixture
def org(secure_emulator: RunningEmulator) -> Any:
    return secure_emulator.org


def names(org: Any) -> list[str]:
    return [contact["LastName"] for contact in org.records("Contact")]


@exercises("login")
def test_it_signs_in_by_client_credentials(peer: Peer, org: Any) -> None:
    made = peer.run("return await sf.sobject.create('Contact', {'LastName': 'Ng'})")
    assert org.get("Contact", made)["CreatedById"] == API_USER_ID


@exercises("login")
def test_it_signs_in_by_soap_login(peer: Peer, org: Any) -> None:
    code = """
    sf = client(SoapLogin(given["user"], given["password"], ""))
    return await sf.sobject.create("Contact", {"LastName": "Ng"})
    """
    made = peer.run(code, user=API_USERNAME, password=EMULATOR_PASSWORD)
    assert org.get("Contact", made)["CreatedById"] == API_USER_ID


@exercises("login")
def test_it_signs_in_by_a_signed_assertion(peer: Peer, org: Any, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = tmp_path / "key.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    org.oauth.add_app(OAuthApp(client_id="signer", public_key=public.decode(), preauthorized=(API_USERNAME,)))
    code = """
    sf = client(JwtBearerFlow("signer", given["user"], given["file"]))
    return await sf.sobject.create("Contact", {"LastName": "Ng"})
    """
    made = peer.run(code, user=API_USERNAME, file=str(file))
    assert org.get("Contact", made)["CreatedById"] == API_USER_ID


def test_a_wrong_secret_is_its_authentication_error(peer: Peer) -> None:
    code = 'await client(ClientCredentialsFlow(given["key"], "wrong")).get_limits()'
    with pytest.raises(PeerError, match="invalid") as caught:
        peer.run(code)
    assert caught.value.kind == "AuthenticationError"


@exercises("query", "paging")
def test_a_query_follows_its_pages(peer: Peer, org: Any) -> None:
    made = {org.create("Contact", {"LastName": f"Name {number}"}) for number in range(2_100)}
    found = peer.run("return [row['Id'] async for row in sf.query('SELECT Id FROM Contact')]")
    assert (len(found), set(found)) == (2_100, made)


@exercises("create", "update", "delete")
def test_it_creates_reads_updates_and_deletes_a_record(peer: Peer, org: Any) -> None:
    code = """
    made = await sf.sobject.create("Contact", {"LastName": "O'Brien", "Birthdate": "1970-01-31"})
    await sf.sobject.update("Contact", made, {"FirstName": "Zoë"})
    read = await sf.sobject.get("Contact", made, fields=["FirstName", "LastName", "Birthdate"])
    doomed = await sf.sobject.create("Contact", {"LastName": "Gone"})
    await sf.sobject.delete("Contact", doomed)
    return {"made": made, "read": read, "doomed": doomed}
    """
    found = peer.run(code)
    stored = org.get("Contact", found["made"])
    for name, value in {"FirstName": "Zoë", "LastName": "O'Brien", "Birthdate": "1970-01-31"}.items():
        assert stored[name] == found["read"][name] == value
    assert org.get("Contact", found["doomed"])["IsDeleted"] is True


@exercises("upsert")
def test_it_upserts_by_the_external_id(peer: Peer, org: Any) -> None:
    code = """
    async def upsert(name):
        return (await sf.sobject.upsert("Contact", "m-1", "MarkMail_Id__c", {"LastName": name})).created
    return [await upsert("First"), await upsert("Second")]
    """
    assert peer.run(code) == [True, False]
    assert [(c["MarkMail_Id__c"], c["LastName"]) for c in org.records("Contact")] == [("m-1", "Second")]


@exercises("describe", "limits")
def test_it_describes_and_reads_limits(peer: Peer, org: Any) -> None:
    code = """
    described = await sf.request("GET", f"{sf.base_url}/services/data/v64.0/sobjects/Contact/describe")
    return [[field["name"] for field in described.json()["fields"]], await sf.get_limits()]
    """
    fields, limits = peer.run(code)
    assert set(fields) == set(org.table("Contact").definition.fields)
    assert limits["DailyApiRequests"] == {"Max": org.daily_limit, "Remaining": org.daily_limit - 2}


@exercises("collections")
def test_it_writes_collections(peer: Peer, org: Any) -> None:
    code = """
    rows = [{"attributes": {"type": "Contact"}, "LastName": name} for name in ("Ng", "", "Wu")]
    answer = await sf.request("POST", f"{sf.base_url}/services/data/v64.0/composite/sobjects", json={"records": rows})
    return [outcome["success"] for outcome in answer.json()]
    """
    assert peer.run(code) == [True, False, True]
    assert names(org) == ["Ng", "Wu"]


@exercises("bulk insert", "bulk update", "bulk upsert", "bulk delete")
def test_bulk_jobs_insert_update_upsert_and_delete(peer: Peer, org: Any) -> None:
    # The client itself waits 5 s before it first asks after a job, so the jobs run side by side.
    kept = org.create("Contact", {"LastName": "Kept", "MarkMail_Id__c": "m-0"})
    gone = org.create("Contact", {"LastName": "Gone"})
    renamed = org.create("Contact", {"LastName": "Old", "Title": "Dr"})
    code = """
    import asyncio
    good = {"LastName": 'Quoted "name"', "Email": "a@example.org", "MarkMail_Id__c": "m-1"}
    bad = {"LastName": "Wu", "Email": "no address", "MarkMail_Id__c": "m-2"}
    done = await asyncio.gather(
        sf.bulk_v2.insert("Contact", [good, bad]),
        sf.bulk_v2.upsert("Contact", [{"MarkMail_Id__c": "m-0", "LastName": "Changed"}], "MarkMail_Id__c"),
        sf.bulk_v2.delete("Contact", [{"Id": given["gone"]}]),
        sf.bulk_v2.update("Contact", [{"Id": given["renamed"], "LastName": "New"}]),
    )
    return [
        [len(d.successful_results), len(d.failed_results), len(d.unprocessed_records)] for d in done
    ] + [done[0].failed_results[0]["sf__Error"]]
    """
    *counts, error = peer.run(code, gone=gone, renamed=renamed)
    assert counts == [[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert error.startswith("INVALID_EMAIL_ADDRESS")
    assert sorted(names(org)) == ["Changed", "New", 'Quoted "name"']
    assert org.get("Contact", renamed)["Title"] == "Dr"
    assert org.get("Contact", kept)["LastName"] == "Changed"


@pytest.mark.parametrize(
    "code,kind,text",
    [
        ("[row async for row in sf.query('SELECT Nope__c FROM Contact')]", "SalesforceError", "INVALID_FIELD"),
        ("await sf.sobject.get('Contact', '003000000000001AAA')", "NotFoundError", "NOT_FOUND"),
        ("await sf.sobject.create('Contact', {'FirstName': 'A'})", "SalesforceError", "REQUIRED_FIELD_MISSING"),
    ],
)
def test_a_faulty_request_is_its_own_error(peer: Peer, code: str, kind: str, text: str) -> None:
    with pytest.raises(PeerError, match=text) as caught:
        peer.run(code)
    assert caught.value.kind == kind


def test_a_session_that_ends_is_renewed_by_itself(peer: Peer, org: Any) -> None:
    code = """
    await sf.get_limits()
    address = f"https://{given['host']}:{given['port']}/__emulator__/oauth"
    await sf.httpx_client.post(address, json={"expire_sessions": True})
    return await sf.sobject.create("Contact", {"LastName": "Ng"})
    """
    made = peer.run(code)
    assert org.get("Contact", made)["CreatedById"] == API_USER_ID


def test_the_daily_limit_refuses_it(peer: Peer, org: Any) -> None:
    org.daily_limit = 0
    code = "await client(app, retry_policy=RetryPolicy()).get_limits()"
    with pytest.raises(PeerError, match="REQUEST_LIMIT_EXCEEDED") as caught:
        peer.run(code)
    assert caught.value.kind == "RequestLimitExceededError"


def test_it_sends_a_create_again_after_a_dropped_connection_and_makes_two(peer: Peer, org: Any) -> None:
    """The trap that our provider avoids: an answer that is lost is no create that failed."""
    org.faults.drop_next(after_commit=True, method="POST", path="sobjects")
    peer.run("await sf.sobject.create('Contact', {'LastName': 'Ng'})")
    assert names(org) == ["Ng", "Ng"]
