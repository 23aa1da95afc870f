"""jsforce, in the form that the sf CLI is built on."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.testing.salesforce import (
    API_USER_ID,
    API_USERNAME,
    EMULATOR_APP,
    EMULATOR_PASSWORD,
    EMULATOR_REFRESH_TOKEN,
    RunningEmulator,
)
from tests.integration.peers.coverage import exercises
from tests.integration.peers.peer import Peer, PeerError, node_peer

PRELUDE = """
const { Connection } = require('@jsforce/jsforce-node');
const { url: instanceUrl, token: accessToken } = given;
const version = '64.0';
const connection = new Connection({ instanceUrl, accessToken, version });
const control = (path, body) =>
  fetch(`${instanceUrl}/__emulator__/${path}`, { method: 'POST', body: JSON.stringify(body) });
"""


@pytest.fixture
def peer(emulator: RunningEmulator) -> Peer:
    return node_peer(PRELUDE, url=emulator.url, token=emulator.access_token)


@pytest.fixture
def org(emulator: RunningEmulator) -> Any:
    return emulator.org


def names(org: Any) -> list[str]:
    return [contact["LastName"] for contact in org.records("Contact")]


@exercises("login")
def test_it_signs_in_by_soap_login(peer: Peer, org: Any) -> None:
    code = """
    const mine = new Connection({ loginUrl: given.url, version });
    const user = await mine.login(given.user, given.password);
    return [user.id, (await mine.sobject('Contact').create({ LastName: 'Ng' })).id];
    """
    user, made = peer.run(code, user=API_USERNAME, password=EMULATOR_PASSWORD)
    assert user == org.get("Contact", made)["CreatedById"] == API_USER_ID


@exercises("login")
def test_it_signs_in_by_client_credentials(peer: Peer, org: Any) -> None:
    code = """
    const mine = new Connection({ instanceUrl, version, oauth2: { loginUrl: given.url, ...given.app } });
    await mine.authorize({ grant_type: 'client_credentials' });
    return (await mine.sobject('Contact').create({ LastName: 'Ng' })).id;
    """
    app = {"clientId": EMULATOR_APP.client_id, "clientSecret": EMULATOR_APP.client_secret}
    assert org.get("Contact", peer.run(code, app=app))["CreatedById"] == API_USER_ID


@exercises("login")
def test_it_renews_its_session_by_a_refresh_token(peer: Peer, org: Any) -> None:
    code = """
    const oauth2 = { loginUrl: given.url, ...given.app };
    const mine = new Connection({ instanceUrl, accessToken, refreshToken: given.refresh, version, oauth2 });
    await control('oauth', { expire_sessions: true });
    return (await mine.sobject('Contact').create({ LastName: 'Ng' })).success;
    """
    app = {"clientId": EMULATOR_APP.client_id, "clientSecret": EMULATOR_APP.client_secret}
    assert peer.run(code, app=app, refresh=EMULATOR_REFRESH_TOKEN) is True
    assert names(org) == ["Ng"]


def test_a_wrong_password_is_refused(peer: Peer) -> None:
    code = "await new Connection({ loginUrl: given.url, version }).login(given.user, 'wrong');"
    with pytest.raises(PeerError, match="INVALID_LOGIN"):
        peer.run(code, user=API_USERNAME)


@exercises("query", "paging")
def test_a_query_follows_its_pages(peer: Peer, org: Any) -> None:
    made = {org.create("Contact", {"LastName": f"Name {number}"}) for number in range(4_100)}
    code = """
    const options = { autoFetch: true, maxFetch: 10000 };
    return (await connection.query('SELECT Id FROM Contact', options)).records.map((row) => row.Id);
    """
    found = peer.run(code)
    assert (len(found), set(found)) == (4_100, made)


@exercises("create", "update", "delete")
def test_it_creates_reads_updates_and_deletes_a_record(peer: Peer, org: Any) -> None:
    code = """
    const contacts = connection.sobject('Contact');
    const { id: made } = await contacts.create({ LastName: "O'Brien", HasOptedOutOfEmail: true });
    await contacts.update({ Id: made, FirstName: 'Zoë', HasOptedOutOfEmail: false });
    const read = await contacts.retrieve(made);
    const { id: doomed } = await contacts.create({ LastName: 'Gone' });
    await contacts.destroy(doomed);
    return { made, read, doomed };
    """
    found = peer.run(code)
    stored = org.get("Contact", found["made"])
    assert (stored["FirstName"], stored["LastName"], stored["HasOptedOutOfEmail"]) == ("Zoë", "O'Brien", False)
    assert {name: found["read"][name] for name in stored} == stored
    assert org.get("Contact", found["doomed"])["IsDeleted"] is True


@exercises("upsert")
def test_it_upserts_by_the_external_id(peer: Peer, org: Any) -> None:
    code = """
    const upsert = (LastName) =>
      connection.sobject('Contact').upsert({ MarkMail_Id__c: 'm/1', LastName }, 'MarkMail_Id__c');
    return [(await upsert('First')).created, (await upsert('Second')).created];
    """
    assert peer.run(code) == [True, False]
    assert [(c["MarkMail_Id__c"], c["LastName"]) for c in org.records("Contact")] == [("m/1", "Second")]


@exercises("describe")
def test_it_describes_objects_and_the_org(peer: Peer, org: Any) -> None:
    code = """
    const { fields } = await connection.sobject('Contact').describe();
    const { sobjects } = await connection.describeGlobal();
    const identity = await connection.identity();
    return [fields.map((field) => field.name), sobjects.map((entry) => entry.name), identity.username];
    """
    fields, objects, user = peer.run(code)
    assert set(fields) == set(org.table("Contact").definition.fields)
    assert set(objects) == set(org.tables)
    assert user == API_USERNAME


@exercises("limits")
def test_it_reads_the_limits_and_the_usage_of_each_answer(peer: Peer, org: Any) -> None:
    code = "return [(await connection.limits()).DailyApiRequests, connection.limitInfo.apiUsage];"
    limits, usage = peer.run(code)
    assert limits == {"Max": org.daily_limit, "Remaining": org.daily_limit - 1}
    assert usage == {"used": 1, "limit": org.daily_limit}


@exercises("collections")
def test_it_writes_collections(peer: Peer, org: Any) -> None:
    kept = org.create("Contact", {"LastName": "Kept", "MarkMail_Id__c": "m-0"})
    gone = org.create("Contact", {"LastName": "Gone"})
    code = """
    const contacts = connection.sobject('Contact');
    const success = (outcomes) => outcomes.map((outcome) => outcome.success);
    const rows = ['Ng', '', 'Wu'].map((LastName) => ({ LastName }));
    const created = await contacts.create(rows, { allOrNone: false });
    const upserted = await contacts.upsert(
      [{ MarkMail_Id__c: 'm-0', LastName: 'Changed' }, { MarkMail_Id__c: 'm-1', LastName: 'New' }], 'MarkMail_Id__c');
    const updated = await contacts.update([{ Id: created[0].id, FirstName: 'A' }, { Id: given.kept, FirstName: 'B' }]);
    const deleted = await contacts.destroy([given.gone]);
    const read = await contacts.retrieve([given.kept, created[0].id]);
    return [success(created), success(upserted), success(updated), success(deleted), read.map((row) => row.FirstName)];
    """
    *counts, read = peer.run(code, kept=kept, gone=gone)
    assert counts == [[True, False, True], [True, True], [True, True], [True]]
    assert read == ["B", "A"]
    assert names(org) == ["Changed", "Ng", "Wu", "New"]


@exercises("bulk insert", "bulk update", "bulk upsert", "bulk delete")
def test_bulk_jobs_insert_update_upsert_and_delete(peer: Peer, org: Any) -> None:
    gone = org.create("Contact", {"LastName": "Gone"})
    code = """
    const load = async (operation, input, options = {}) => {
      const job = { object: 'Contact', operation, input, pollInterval: 50, pollTimeout: 20000, ...options };
      const { successfulResults, failedResults } = await connection.bulk2.loadAndWaitForResults(job);
      return [successfulResults, failedResults];
    };
    const rows = [
      { MarkMail_Id__c: 'm-1', LastName: 'Quoted "name"', Email: 'a@example.org' },
      { MarkMail_Id__c: 'm-2', LastName: 'Wu', Email: 'no address' },
    ];
    const [made, failed] = await load('insert', rows);
    const id = made[0].sf__Id;
    const done = [
      await load('update', [{ Id: id, FirstName: 'Zoë, with\\na line' }]),
      await load('upsert', [
        { MarkMail_Id__c: 'm-1', LastName: 'Changed', Title: 'Dr' },
        { MarkMail_Id__c: 'm-3', LastName: 'New', Title: '' },
      ], { externalIdFieldName: 'MarkMail_Id__c' }),
      await load('delete', [{ Id: given.gone }]),
    ];
    return [failed.map((row) => [row.MarkMail_Id__c, row.sf__Error]), done.map(([ok, bad]) => [ok.length, bad.length])];
    """
    failed, counts = peer.run(code, gone=gone)
    assert [key for key, _ in failed] == ["m-2"]
    assert failed[0][1].startswith("INVALID_EMAIL_ADDRESS")
    assert counts == [[1, 0], [2, 0], [1, 0]]
    assert [(c["LastName"], c["FirstName"], c["Title"]) for c in org.records("Contact")] == [
        ("Changed", "Zoë, with\na line", "Dr"),
        ("New", None, None),
    ]


@exercises("bulk query")
def test_a_bulk_query_reads_a_page(peer: Peer, org: Any) -> None:
    # Of several pages jsforce itself falls over the second one, so the page is larger than the org.
    for number in range(300):
        org.create("Contact", {"LastName": f"Näme, {number}"})
    code = """
    const options = { pollInterval: 50, pollTimeout: 20000 };
    const records = await (await connection.bulk2.query('SELECT LastName FROM Contact', options)).toArray();
    return records.map((row) => row.LastName);
    """
    assert sorted(peer.run(code)) == sorted(names(org))


@exercises(*(f"first bulk {verb}" for verb in ("insert", "update", "upsert", "delete", "query")))
def test_the_first_bulk_api_loads_and_queries(peer: Peer, org: Any) -> None:
    code = """
    connection.bulk.pollInterval = 50;
    const load = async (operation, rows, options) => connection.bulk.load('Contact', operation, options, rows);
    const emails = { Ng: 'ng@example.org', Wu: '', No: 'no address' };
    const made = await load('insert', Object.entries(emails).map(([LastName, Email]) => ({ LastName, Email })));
    const [kept, gone] = made.map((row) => row.id);
    const done = [
      await load('update', [{ Id: kept, FirstName: 'Zoë, with\\na line' }]),
      await load('upsert', [{ MarkMail_Id__c: 'm-3', LastName: 'New' }], { extIdField: 'MarkMail_Id__c' }),
      await load('delete', [{ Id: gone }]),
    ];
    const found = await (await connection.bulk.query('SELECT LastName, FirstName FROM Contact')).toArray();
    return [made.map((row) => row.success), made[2].errors[0], done.map(([row]) => row.success), found];
    """
    made, error, done, found = peer.run(code)
    assert (made, done) == ([True, True, False], [True, True, True])
    assert error.startswith("INVALID_EMAIL_ADDRESS")
    assert sorted((row["LastName"], row["FirstName"] or "") for row in found) == [
        ("New", ""),
        ("Ng", "Zoë, with\na line"),
    ]
    assert sorted(names(org)) == ["New", "Ng"]


@pytest.mark.parametrize(
    "code,kind",
    [
        ("await connection.query('SELECT Nope__c FROM Contact');", "INVALID_FIELD"),
        ("await connection.query('SELECT FROM');", "MALFORMED_QUERY"),
        ("await connection.sobject('Contact').create({ FirstName: 'A' });", "REQUIRED_FIELD_MISSING"),
        ("await connection.sobject('Contact').retrieve('003000000000001AAA');", "NOT_FOUND"),
        ("await connection.sobject('Nope__c').describe();", "NOT_FOUND"),
    ],
)
def test_a_faulty_request_is_named_by_its_code(peer: Peer, code: str, kind: str) -> None:
    with pytest.raises(PeerError) as caught:
        peer.run(code)
    assert caught.value.kind == kind


def test_a_dead_token_is_an_invalid_session_to_it(peer: Peer, org: Any) -> None:
    org.expire_sessions()
    with pytest.raises(PeerError) as caught:
        peer.run("await connection.query('SELECT Id FROM Contact');")
    assert caught.value.kind == "INVALID_SESSION_ID"


def test_the_daily_limit_refuses_it(peer: Peer, org: Any) -> None:
    org.daily_limit = 0
    with pytest.raises(PeerError) as caught:
        peer.run("await connection.query('SELECT Id FROM Contact');")
    assert caught.value.kind == "REQUEST_LIMIT_EXCEEDED"


def test_it_reads_again_after_a_server_error_but_never_writes_again(peer: Peer, org: Any) -> None:
    org.faults.fail_next(status=503, method="GET")
    assert peer.run("return (await connection.query('SELECT Id FROM Contact')).done;") is True
    org.faults.fail_next(status=503, method="POST")
    with pytest.raises(PeerError) as caught:
        peer.run("await connection.sobject('Contact').create({ LastName: 'Ng' });")
    assert caught.value.kind == "SERVER_UNAVAILABLE"
    assert names(org) == []


def test_a_dropped_connection_does_not_make_it_create_twice(peer: Peer, org: Any) -> None:
    org.faults.drop_next(after_commit=True, method="POST")
    with pytest.raises(PeerError):
        peer.run("await connection.sobject('Contact').create({ LastName: 'Ng' });")
    assert names(org) == ["Ng"]
