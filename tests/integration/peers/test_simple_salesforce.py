"""simple-salesforce, which speaks https only, with the authority's certificate."""

from __future__ import annotations

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

# Logins go to hosts of Salesforce's that are written down in the client, so its session leads them to the emulator.
PRELUDE = """
import requests
from simple_salesforce import Salesforce

class ToTheEmulator(requests.adapters.HTTPAdapter):
    def send(self, request, **options):
        host = request.url.split("/")[2]
        request.url = request.url.replace(host, given["host"], 1)
        return super().send(request, **options)

def log_in(**how):
    session = requests.Session()
    for host in ("login", "acme.my"):
        session.mount(f"https://{host}.salesforce.com", ToTheEmulator())
    return Salesforce(session=session, **how)

sf = Salesforce(instance=given["host"], session_id=given["token"], version="68.0")
"""


@pytest.fixture
def peer(secure_emulator: RunningEmulator, authority: Authority) -> Peer:
    host = secure_emulator.url.removeprefix("https://")
    return python_peer("clients", PRELUDE, authority.certificate, host=host, token=secure_emulator.access_token)


@pytest.fixture
def org(secure_emulator: RunningEmulator) -> Any:
    return secure_emulator.org


def names(org: Any) -> list[str]:
    return [contact["LastName"] for contact in org.records("Contact")]


@exercises("login")
def test_it_signs_in_by_soap_login(peer: Peer, org: Any) -> None:
    code = """
    sf = log_in(username=given["user"], password=given["password"], security_token="", version="64.0")
    return sf.Contact.create({"LastName": "Ng"})["id"]
    """
    made = peer.run(code, user=API_USERNAME, password=EMULATOR_PASSWORD)
    assert org.get("Contact", made)["CreatedById"] == API_USER_ID


@exercises("login")
def test_it_signs_in_by_client_credentials(peer: Peer, org: Any) -> None:
    code = """
    sf = log_in(consumer_key=given["key"], consumer_secret=given["secret"], domain="acme.my")
    return sf.Contact.create({"LastName": "Ng"})["id"]
    """
    made = peer.run(code, key=EMULATOR_APP.client_id, secret=EMULATOR_APP.client_secret)
    assert org.get("Contact", made)["CreatedById"] == API_USER_ID


@exercises("login")
def test_it_signs_in_by_a_signed_assertion(peer: Peer, org: Any) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    org.oauth.add_app(OAuthApp(client_id="signer", public_key=public.decode(), preauthorized=(API_USERNAME,)))
    code = """
    sf = log_in(username=given["user"], consumer_key="signer", privatekey=given["key"])
    return sf.Contact.create({"LastName": "Ng"})["id"]
    """
    made = peer.run(code, user=API_USERNAME, key=private.decode())
    assert org.get("Contact", made)["CreatedById"] == API_USER_ID


def test_a_wrong_password_is_its_login_error(peer: Peer) -> None:
    code = 'log_in(username=given["user"], password="wrong", security_token="", version="64.0")'
    with pytest.raises(PeerError, match="INVALID_LOGIN") as caught:
        peer.run(code, user=API_USERNAME)
    assert caught.value.kind == "SalesforceAuthenticationFailed"


@exercises("query", "paging")
def test_a_query_follows_its_pages(peer: Peer, org: Any) -> None:
    made = {org.create("Contact", {"LastName": f"Name {number}"}) for number in range(4_100)}
    code = """
    seen = [row["Id"] for row in sf.query_all_iter("SELECT Id FROM Contact")]
    return {"ids": seen, "count": sf.query("SELECT COUNT() FROM Contact")["totalSize"]}
    """
    found = peer.run(code)
    assert (found["count"], len(found["ids"]), set(found["ids"])) == (4_100, 4_100, made)
    assert org.calls["GET /query/{locator}"] == 2


@exercises("create", "update", "delete")
def test_it_creates_reads_updates_and_deletes_a_record(peer: Peer, org: Any) -> None:
    code = """
    made = sf.Contact.create({"LastName": "O'Brien", "Birthdate": "1970-01-31", "HasOptedOutOfEmail": True})
    sf.Contact.update(made["id"], {"FirstName": "Zoë", "HasOptedOutOfEmail": False})
    read = sf.Contact.get(made["id"])
    doomed = sf.Contact.create({"LastName": "Gone"})["id"]
    return {"made": made["id"], "read": read, "deleted": sf.Contact.delete(doomed), "doomed": doomed}
    """
    found = peer.run(code)
    stored = org.get("Contact", found["made"])
    assert (stored["FirstName"], stored["LastName"], stored["Birthdate"]) == ("Zoë", "O'Brien", "1970-01-31")
    assert stored["HasOptedOutOfEmail"] is False
    assert {name: found["read"][name] for name in stored} == stored
    assert found["deleted"] == 204
    assert org.get("Contact", found["doomed"])["IsDeleted"] is True


@exercises("upsert")
def test_it_upserts_by_the_external_id(peer: Peer, org: Any) -> None:
    code = """
    return [sf.Contact.upsert("MarkMail_Id__c/m-1", {"LastName": name}) for name in ("First", "Second")]
    """
    assert peer.run(code) == [201, 200]
    assert [(c["MarkMail_Id__c"], c["LastName"]) for c in org.records("Contact")] == [("m-1", "Second")]


@exercises("describe")
def test_it_describes_an_object_and_the_org(peer: Peer, org: Any) -> None:
    code = """
    return {
        "fields": {field["name"]: field["type"] for field in sf.Contact.describe()["fields"]},
        "objects": [entry["name"] for entry in sf.describe()["sobjects"]],
    }
    """
    found = peer.run(code)
    assert found["fields"]["Email"] == "email"
    assert set(found["fields"]) == set(org.table("Contact").definition.fields)
    assert {"Account", "Contact", "Lead"} <= set(found["objects"])


@exercises("limits")
def test_it_reads_the_limits_and_the_usage_of_each_answer(peer: Peer, org: Any) -> None:
    limits, usage = peer.run("return [sf.limits()['DailyApiRequests'], sf.api_usage['api-usage']]")
    assert limits == {"Max": org.daily_limit, "Remaining": org.daily_limit - 1}
    assert usage == [1, org.daily_limit]


@exercises("collections")
def test_it_writes_collections(peer: Peer, org: Any) -> None:
    code = """
    rows = [{"attributes": {"type": "Contact"}, "LastName": name} for name in ("Ng", "", "Wu")]
    return sf.restful("composite/sobjects", method="POST", json={"allOrNone": False, "records": rows})
    """
    outcomes = peer.run(code)
    assert [outcome["success"] for outcome in outcomes] == [True, False, True]
    assert outcomes[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert names(org) == ["Ng", "Wu"]


@exercises("collections")
def test_it_writes_five_collections_in_one_call_and_no_more(peer: Peer, org: Any) -> None:
    code = """
    from simple_salesforce.exceptions import SalesforceMalformedRequest

    def pages(count):
        rows = [[{"attributes": {"type": "Contact"}, "LastName": f"{n}{name}"} for name in "AB"] for n in range(count)]
        url = f"/services/data/v{sf.sf_version}/composite/sobjects"
        requests = [
            {"method": "POST", "url": url, "referenceId": f"p{n}", "body": {"allOrNone": False, "records": page}}
            for n, page in enumerate(rows)
        ]
        return sf.restful("composite", method="POST", json={"allOrNone": False, "compositeRequest": requests})

    try:
        return [pages(6), "taken"]
    except SalesforceMalformedRequest as error:
        return [pages(5), error.content]
    """
    answer, refused = peer.run(code)
    assert [one["httpStatusCode"] for one in answer["compositeResponse"]] == [200] * 5
    assert [[row["success"] for row in one["body"]] for one in answer["compositeResponse"]] == [[True, True]] * 5
    assert refused["compositeResponse"][0]["body"][0]["errorCode"] == "LIMIT_EXCEEDED"
    assert names(org) == [f"{n}{name}" for n in range(5) for name in "AB"]


def test_it_tells_what_was_deleted_and_updated(peer: Peer, org: Any) -> None:
    kept, gone = (org.create("Contact", {"LastName": name}) for name in ("Kept", "Gone"))
    org.delete("Contact", gone)
    code = """
    import datetime
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=2)
    start = end - datetime.timedelta(days=1)
    return [sf.Contact.updated(start, end)["ids"], [r["id"] for r in sf.Contact.deleted(start, end)["deletedRecords"]]]
    """
    assert peer.run(code) == [[kept], [gone]]


@exercises("bulk insert", "bulk update", "bulk upsert", "bulk delete")
def test_bulk_jobs_insert_update_upsert_and_delete(peer: Peer, org: Any) -> None:
    code = """
    bulk = sf.bulk2.Contact
    rows = [{"LastName": f"Name {n}", "Email": f"n{n}@example.org", "MarkMail_Id__c": f"m-{n}"} for n in range(6)]
    counts = [bulk.insert(records=rows[:5], wait=0.1)]
    ids = [row["Id"] for row in sf.query("SELECT Id FROM Contact ORDER BY MarkMail_Id__c")["records"]]
    counts += [bulk.update(records=[{"Id": ids[0], "LastName": 'Quoted "name", with\\nlines'}], wait=0.1)]
    counts += [bulk.upsert(records=rows[4:], external_id_field="MarkMail_Id__c", wait=0.1)]
    counts += [bulk.delete(records=[{"Id": ids[1]}], wait=0.1)]
    return [[(c["numberRecordsProcessed"], c["numberRecordsFailed"]) for c in done] for done in counts]
    """
    assert peer.run(code) == [[[5, 0]], [[1, 0]], [[2, 0]], [[1, 0]]]
    assert {c["MarkMail_Id__c"]: c["LastName"] for c in org.records("Contact")} == {
        "m-0": 'Quoted "name", with\nlines',
        **{f"m-{number}": f"Name {number}" for number in (2, 3, 4, 5)},
    }


def test_a_bulk_job_tells_which_rows_failed(peer: Peer, org: Any) -> None:
    code = """
    rows = [{"LastName": "Ng", "Email": "ng@example.org"}, {"LastName": "Wu", "Email": "no address"}]
    job = sf.bulk2.Contact.insert(records=rows, wait=0.1)[0]["job_id"]
    return [sf.bulk2.Contact.get_failed_records(job), sf.bulk2.Contact.get_successful_records(job)]
    """
    failed, succeeded = peer.run(code)
    assert "INVALID_EMAIL_ADDRESS" in failed
    assert org.records("Contact")[0]["Id"] in succeeded
    assert names(org) == ["Ng"]


@exercises(*(f"first bulk {verb}" for verb in ("insert", "update", "upsert", "delete", "query")))
def test_its_older_handler_loads_and_queries_by_the_first_bulk_api(peer: Peer, org: Any) -> None:
    code = """
    bulk = sf.bulk.Contact
    rows = [{"LastName": f"Name {n}", "MarkMail_Id__c": f"m-{n}"} for n in range(6)]
    done = [bulk.insert(rows[:5], batch_size=2)]
    ids = [row["id"] for row in done[0]]
    done += [bulk.update([{"Id": ids[0], "LastName": None}, {"Id": ids[1], "LastName": "New"}], use_serial=True)]
    done += [bulk.upsert(rows[4:], "MarkMail_Id__c", include_detailed_results=True)]
    done += [bulk.delete([{"Id": ids[2]}])]
    found = bulk.query("SELECT LastName, Account.Name FROM Contact ORDER BY MarkMail_Id__c")
    return [[(row["success"], row["created"]) for row in each] for each in done], done[1][0]["errors"], found
    """
    done, errors, found = peer.run(code)
    assert done == [[[True, True]] * 5, [[False, False], [True, False]], [[True, False], [True, True]], [[True, False]]]
    assert [error["statusCode"] for error in errors] == ["REQUIRED_FIELD_MISSING"]
    assert [row["LastName"] for row in found] == ["Name 0", "New", "Name 3", "Name 4", "Name 5"]
    assert sorted(names(org)) == sorted(row["LastName"] for row in found)


@exercises("bulk query")
def test_a_bulk_query_follows_its_pages(peer: Peer, org: Any) -> None:
    for number in range(1_500):
        org.create("Contact", {"LastName": f"Name {number}"})
    code = """
    import csv, io
    pages = list(sf.bulk2.Contact.query("SELECT LastName FROM Contact", max_records=600, wait=0.1))
    return [[row["LastName"] for row in csv.DictReader(io.StringIO(page))] for page in pages]
    """
    pages = peer.run(code)
    assert [len(page) for page in pages] == [600, 600, 300]
    assert sorted(name for page in pages for name in page) == sorted(names(org))


@pytest.mark.parametrize(
    "code,kind,text",
    [
        ("sf.query('SELECT Nope__c FROM Contact')", "SalesforceMalformedRequest", "No such column 'Nope__c'"),
        ("sf.Contact.create({'Nope__c': 1, 'LastName': 'Ng'})", "SalesforceMalformedRequest", "Nope__c"),
        ("sf.Contact.get('003000000000001AAA')", "SalesforceResourceNotFound", "NOT_FOUND"),
        ("sf.Nope__c.describe()", "SalesforceResourceNotFound", "NOT_FOUND"),
    ],
)
def test_a_faulty_request_is_its_own_error(peer: Peer, code: str, kind: str, text: str) -> None:
    with pytest.raises(PeerError, match=text) as caught:
        peer.run(code)
    assert caught.value.kind == kind


def test_a_dead_token_is_an_expired_session_to_it(peer: Peer, org: Any) -> None:
    org.expire_sessions()
    with pytest.raises(PeerError, match="INVALID_SESSION_ID") as caught:
        peer.run("sf.query('SELECT Id FROM Contact')")
    assert caught.value.kind == "SalesforceExpiredSession"


def test_it_signs_in_again_by_itself_when_its_session_ends(peer: Peer, org: Any) -> None:
    code = """
    import urllib.request, ssl
    sf = log_in(username=given["user"], password=given["password"], security_token="", version="64.0")
    end = urllib.request.Request(f"https://{given['host']}/__emulator__/oauth", b'{"expire_sessions": true}')
    urllib.request.urlopen(end)
    return sf.Contact.create({"LastName": "Ng"})["success"]
    """
    assert peer.run(code, user=API_USERNAME, password=EMULATOR_PASSWORD) is True
    assert names(org) == ["Ng"]


def test_the_daily_limit_refuses_it(peer: Peer, org: Any) -> None:
    org.daily_limit = 0
    with pytest.raises(PeerError, match="REQUEST_LIMIT_EXCEEDED") as caught:
        peer.run("sf.query('SELECT Id FROM Contact')")
    assert caught.value.kind == "SalesforceRefusedRequest"


def test_too_many_long_transactions_refuse_it(peer: Peer, org: Any) -> None:
    org.faults.long_transactions_exceeded_next()
    with pytest.raises(PeerError, match="ConcurrentPerOrgLongTxn Limit exceeded") as caught:
        peer.run("sf.query('SELECT Id FROM Contact')")
    assert caught.value.kind == "SalesforceRefusedRequest"


def test_it_sees_which_part_of_its_call_met_a_limit(peer: Peer, org: Any) -> None:
    limit = "ConcurrentPerOrgLongTxn Limit exceeded."
    org.faults.parts.fail_next(within="composite", method="POST", status=403, message=limit)
    org.faults.parts.fail_next(within="collections", status=403, message=limit)
    code = """
    record = {"attributes": {"type": "Contact"}, "LastName": "Ng"}
    url = "/services/data/v64.0/composite/sobjects"
    parts = [{"method": "POST", "url": url, "referenceId": f"r{n}", "body": {"records": [record]}} for n in range(2)]
    return sf.restful("composite", method="POST", json={"compositeRequest": parts})["compositeResponse"]
    """
    first, second = peer.run(code)
    assert (first["httpStatusCode"], second["httpStatusCode"]) == (403, 200)
    assert first["body"] == [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": limit}]
    assert second["body"][0]["errors"][0]["statusCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert names(org) == []


def test_a_dropped_connection_is_not_tried_again(peer: Peer, org: Any) -> None:
    org.faults.drop_next(after_commit=True, method="POST")
    with pytest.raises(PeerError) as caught:
        peer.run("sf.Contact.create({'LastName': 'Ng'})")
    assert caught.value.kind == "ConnectionError"
    assert names(org) == ["Ng"]
