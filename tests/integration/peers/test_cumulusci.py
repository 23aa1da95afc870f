"""CumulusCI, the data loader of Salesforce's own product teams: its tasks, as ``cci task run`` runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crmsync.testing.salesforce import (
    API_USER_ID,
    API_USERNAME,
    EMULATOR_APP,
    EMULATOR_REFRESH_TOKEN,
    OAuthApp,
    RunningEmulator,
    every_nth,
)
from tests.integration.peers.conftest import Authority
from tests.integration.peers.coverage import exercises
from tests.integration.peers.peer import Peer, PeerError, python_peer

# Its command line asks the package index for news first, so the tasks are run by what stands behind it.
PRELUDE = """
import contextlib, os, sys
os.chdir(given["home"])
os.environ.update(given["settings"])

def run(name, **options):
    from cumulusci.cli.runtime import CliRuntime
    with contextlib.redirect_stdout(sys.stderr):
        runtime = CliRuntime(load_keychain=True)
        _, org = runtime.get_org("acme")
        config = runtime.project_config.get_task(name)
        config.config["options"] = {**(config.options or {}), **options}
        return config.get_class()(runtime.project_config, config, org_config=org)()
"""

PROJECT = """
minimum_cumulusci_version: '4.0.0'
project:
  name: Peer
  package:
    name: Peer
    api_version: '64.0'
"""

MAPPING = """
Accounts:
  sf_object: Account
  table: accounts
  api: {api}
  fields: [Name]
Contacts:
  sf_object: Contact
  table: contacts
  api: {api}
  {action}
  fields: [LastName, FirstName, HasOptedOutOfEmail, MarkMail_Id__c]
  lookups:
    AccountId:
      table: accounts
"""

DATASET = """
BEGIN TRANSACTION;
CREATE TABLE accounts (id INTEGER PRIMARY KEY, "Name" VARCHAR(255));
INSERT INTO accounts VALUES (1, 'Acme');
CREATE TABLE contacts (
  id INTEGER PRIMARY KEY, "LastName" VARCHAR(255), "FirstName" VARCHAR(255), "HasOptedOutOfEmail" VARCHAR(255),
  "MarkMail_Id__c" VARCHAR(255), "AccountId" VARCHAR(255)
);
INSERT INTO contacts VALUES (1, 'O''Brien', 'Zoë', 'true', 'm-1', '1');
INSERT INTO contacts VALUES (2, 'Ng', '', 'false', 'm-2', NULL);
COMMIT;
"""

RECIPE = """
- object: Contact
  fields:
    Title: Dr
    FirstName: ${{input.FirstName}} of old
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project of CumulusCI's, and the home directory too."""
    (tmp_path / ".git").mkdir()
    files = {".git/HEAD": "ref: refs/heads/main\n", ".git/config": "", "cumulusci.yml": PROJECT}
    files |= {"recipe.yml": RECIPE, "dataset.sql": DATASET, "mapping.yml": MAPPING.format(api="rest", action="")}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def peer(secure_emulator: RunningEmulator, authority: Authority, home: Path) -> Peer:
    """Signed in by a refresh token, which each task begins with."""
    app = {"client_id": EMULATOR_APP.client_id, "client_secret": EMULATOR_APP.client_secret}
    org = {"instance_url": secure_emulator.url, "refresh_token": EMULATOR_REFRESH_TOKEN, **app}
    settings = {
        "HOME": str(home),
        "CUMULUSCI_KEYCHAIN_CLASS": "cumulusci.core.keychain.EnvironmentProjectKeychain",
        "CUMULUSCI_ORG_acme": json.dumps({**org, "connected_app": "env"}),
        "CUMULUSCI_SERVICE_connected_app": json.dumps(
            {**app, "login_url": secure_emulator.url, "callback_url": "http://localhost:8080/callback"}
        ),
    }
    return python_peer("cumulusci", PRELUDE, authority.certificate, home=str(home), settings=settings)


@pytest.fixture
def org(secure_emulator: RunningEmulator) -> Any:
    return secure_emulator.org


def names(org: Any) -> list[str]:
    return [contact["LastName"] for contact in org.records("Contact")]


@exercises("login", "create")
def test_it_signs_in_by_a_refresh_token_and_inserts_a_record(peer: Peer, org: Any) -> None:
    peer.run("run('insert_record', object='Contact', values='LastName:Ng,HasOptedOutOfEmail:true')")
    [made] = org.records("Contact")
    assert (made["LastName"], made["HasOptedOutOfEmail"], made["CreatedById"]) == ("Ng", True, API_USER_ID)


@exercises("login")
def test_it_signs_in_by_a_signed_assertion(peer: Peer, org: Any) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    org.oauth.add_app(OAuthApp(client_id="signer", public_key=public.decode(), preauthorized=(API_USERNAME,)))
    code = """
    import json
    os.environ |= {"SFDX_CLIENT_ID": "signer", "SFDX_HUB_KEY": given["key"]}
    acme = json.loads(os.environ["CUMULUSCI_ORG_acme"])
    os.environ["CUMULUSCI_ORG_acme"] = json.dumps({"instance_url": acme["instance_url"], "username": given["user"]})
    run("insert_record", object="Contact", values="LastName:Ng")
    """
    peer.run(code, key=private.decode(), user=API_USERNAME)
    assert [made["CreatedById"] for made in org.records("Contact")] == [API_USER_ID]


def test_a_refused_refresh_token_stops_it(peer: Peer, org: Any) -> None:
    code = """
    os.environ["CUMULUSCI_ORG_acme"] = os.environ["CUMULUSCI_ORG_acme"].replace("refresh-token", "stale")
    run("insert_record", object="Contact", values="LastName:Ng")
    """
    with pytest.raises(PeerError, match="invalid_grant"):
        peer.run(code)
    assert names(org) == []


@exercises("collections", "describe", "query")
def test_it_loads_a_dataset_whose_records_refer_to_each_other_and_extracts_it_again(
    peer: Peer, org: Any, home: Path
) -> None:
    code = """
    loaded = run("load_dataset", mapping="mapping.yml", sql_path="dataset.sql")
    run("extract_dataset", mapping="mapping.yml", sql_path="extracted.sql")
    return loaded["step_results"]
    """
    loaded = peer.run(code)
    assert {name: (step["status"], step["records_processed"]) for name, step in loaded.items()} == {
        "Accounts": ("Success", 1),
        "Contacts": ("Success", 2),
    }
    [account] = org.records("Account")
    zoe, ng = (next(c for c in org.records("Contact") if c["MarkMail_Id__c"] == key) for key in ("m-1", "m-2"))
    assert (zoe["LastName"], zoe["FirstName"], zoe["HasOptedOutOfEmail"]) == ("O'Brien", "Zoë", True)
    assert (zoe["AccountId"], ng["AccountId"], ng["FirstName"]) == (account["Id"], None, None)
    # It marks what it loaded as seen by its user.
    assert all(contact["LastViewedDate"] for contact in (zoe, ng))
    extracted = (home / "extracted.sql").read_text(encoding="utf-8")
    assert "VALUES('Account-1','Acme')" in extracted
    assert "'O''Brien','Zoë','True','m-1','Account-1'" in extracted
    assert "'Ng','','False','m-2',''" in extracted


@exercises("query", "paging")
def test_an_extract_follows_the_pages_of_a_query(peer: Peer, org: Any, home: Path) -> None:
    made = {org.create("Contact", {"LastName": f"Name {number}"}) for number in range(2_100)}
    peer.run("run('extract_dataset', mapping='mapping.yml', sql_path='extracted.sql')")
    extracted = (home / "extracted.sql").read_text(encoding="utf-8")
    assert extracted.count('INSERT INTO "contacts"') == len(made)
    assert org.calls["GET /query/{locator}"] == 1


@exercises("upsert")
def test_it_upserts_by_the_external_id(peer: Peer, org: Any, home: Path) -> None:
    kept = org.create("Contact", {"LastName": "Old", "Title": "Dr", "MarkMail_Id__c": "m-1"})
    upsert = "action: upsert\n  update_key: MarkMail_Id__c"
    (home / "mapping.yml").write_text(MAPPING.format(api="rest", action=upsert), encoding="utf-8")
    peer.run("run('load_dataset', mapping='mapping.yml', sql_path='dataset.sql')")
    assert org.get("Contact", kept)["LastName"] == "O'Brien"
    assert org.get("Contact", kept)["Title"] == "Dr"
    assert sorted(names(org)) == ["Ng", "O'Brien"]


@exercises("update", "limits")
def test_it_updates_what_a_query_finds(peer: Peer, org: Any) -> None:
    for name in ("Zoë", "Bo"):
        org.create("Contact", {"LastName": "Ng", "FirstName": name})
    code = """
    return run("update_data", object="Contact", fields="FirstName", recipe="recipe.yml", where="FirstName = 'Zoë'")
    """
    done = peer.run(code)
    assert (done["status"], done["records_processed"], done["total_row_errors"]) == ("Success", 1, 0)
    # It asks how many records there are, and then chooses its API.
    assert org.calls["GET /limits/recordCount"] == 1
    assert {c["FirstName"]: c["Title"] for c in org.records("Contact")} == {"Zoë of old": "Dr", "Bo": None}


@exercises("delete")
def test_it_deletes_what_a_query_finds(peer: Peer, org: Any) -> None:
    for number in range(250):
        org.create("Contact", {"LastName": f"Name {number}"})
    peer.run("run('delete_data', objects='Contact', where=\"LastName != 'Name 7'\")")
    assert names(org) == ["Name 7"]
    assert org.calls["DELETE /composite/sobjects"] == 2


@exercises("first bulk insert", "first bulk query")
def test_it_loads_a_dataset_by_the_first_bulk_api_and_extracts_it_again(peer: Peer, org: Any, home: Path) -> None:
    (home / "mapping.yml").write_text(MAPPING.format(api="bulk", action=""), encoding="utf-8")
    code = """
    loaded = run("load_dataset", mapping="mapping.yml", sql_path="dataset.sql", set_recently_viewed=False)
    run("extract_dataset", mapping="mapping.yml", sql_path="extracted.sql")
    return loaded["step_results"]
    """
    loaded = peer.run(code)
    assert {name: (step["status"], step["records_processed"]) for name, step in loaded.items()} == {
        "Accounts": ("Success", 1),
        "Contacts": ("Success", 2),
    }
    [account] = org.records("Account")
    zoe, ng = (next(c for c in org.records("Contact") if c["MarkMail_Id__c"] == key) for key in ("m-1", "m-2"))
    assert (zoe["LastName"], zoe["FirstName"], zoe["HasOptedOutOfEmail"]) == ("O'Brien", "Zoë", True)
    assert (zoe["AccountId"], ng["AccountId"], ng["FirstName"]) == (account["Id"], None, None)
    assert org.calls["POST /services/async/job/{job}/batch"] == 4
    assert not any("/composite" in call or "/query" in call for call in org.calls)
    extracted = (home / "extracted.sql").read_text(encoding="utf-8")
    assert "VALUES('Account-1','Acme')" in extracted
    assert "'O''Brien','Zoë','true','m-1','Account-1'" in extracted


@exercises("first bulk upsert")
def test_it_upserts_by_the_first_bulk_api(peer: Peer, org: Any, home: Path) -> None:
    kept = org.create("Contact", {"LastName": "Old", "Title": "Dr", "MarkMail_Id__c": "m-1"})
    upsert = "action: upsert\n  update_key: MarkMail_Id__c"
    (home / "mapping.yml").write_text(MAPPING.format(api="bulk", action=upsert), encoding="utf-8")
    peer.run("run('load_dataset', mapping='mapping.yml', sql_path='dataset.sql')")
    assert org.get("Contact", kept)["LastName"] == "O'Brien"
    assert org.get("Contact", kept)["Title"] == "Dr"
    assert sorted(names(org)) == ["Ng", "O'Brien"]


@exercises("first bulk query", "first bulk update", "first bulk delete")
def test_it_updates_and_deletes_by_the_first_bulk_api(peer: Peer, org: Any) -> None:
    for number in range(5):
        org.create("Contact", {"LastName": "Ng", "FirstName": f"Zoë {number}"})
    code = """
    options = {"object": "Contact", "fields": "FirstName", "recipe": "recipe.yml", "where": "FirstName != 'Zoë 4'"}
    done = run("update_data", api="bulk", **options)
    run("delete_data", objects="Contact", where="FirstName LIKE '%1 of old'", api="bulk")
    return done
    """
    done = peer.run(code)
    assert (done["status"], done["records_processed"], done["total_row_errors"]) == ("Success", 4, 0)
    found = {contact["FirstName"]: contact["Title"] for contact in org.records("Contact")}
    assert found == {**{f"Zoë {number} of old": "Dr" for number in (0, 2, 3)}, "Zoë 4": None}


def test_a_refused_row_stops_a_load_after_its_batch(peer: Peer, org: Any) -> None:
    org.faults.reject(every_nth(2, "SERVER_UNAVAILABLE", object_name="Contact"))
    with pytest.raises(PeerError, match="SERVER_UNAVAILABLE") as caught:
        peer.run("run('load_dataset', mapping='mapping.yml', sql_path='dataset.sql')")
    assert caught.value.kind == "BulkDataException"
    assert len(names(org)) == 1


def test_a_dead_session_is_renewed_by_the_next_task(peer: Peer, org: Any) -> None:
    org.expire_sessions()
    peer.run("run('insert_record', object='Contact', values='LastName:Ng')")
    assert names(org) == ["Ng"]


def test_a_field_that_the_org_has_not_stops_it_before_it_writes(peer: Peer, org: Any, home: Path) -> None:
    mapping = home / "mapping.yml"
    mapping.write_text(mapping.read_text(encoding="utf-8").replace("FirstName", "Nope__c"), encoding="utf-8")
    with pytest.raises(PeerError, match="One or more schema or permissions errors"):
        peer.run("run('load_dataset', mapping='mapping.yml', sql_path='dataset.sql')")
    assert names(org) == []


def test_the_daily_limit_refuses_it(peer: Peer, org: Any) -> None:
    org.daily_limit = 0
    with pytest.raises(PeerError, match="REQUEST_LIMIT_EXCEEDED"):
        peer.run("run('insert_record', object='Contact', values='LastName:Ng')")
