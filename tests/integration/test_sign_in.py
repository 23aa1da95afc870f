"""Signing in to an org at a shell, and signing out, in every way; no secret may be seen anywhere."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crmsync import CRMSync, Vault
from crmsync.testing.salesforce import OAuthApp
from tests.integration.browser import variables
from tests.integration.shell import Done, Shell, shell

SECRET = "the-secret-of-the-app"
CALLBACK = "http://localhost:{port}/OauthRedirect"


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        user = made.emulator.org.get("User", made.emulator.org.user_id)
        assert user is not None
        made.emulator.org.oauth.auto_approve_as = str(user["Username"])
        yield made


@pytest.fixture
def port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def browser(sh: Shell) -> dict[str, str]:
    """The variables that make a program the browser."""
    return variables(sh.directory / "page")


def page_of(sh: Shell) -> str:
    """What the browser got in the end. It is another process, and may be slower than the command."""
    page, until = sh.directory / "page", time.monotonic() + 20
    while not (page.exists() and page.stat().st_size) and time.monotonic() < until:
        time.sleep(0.05)
    return page.read_text(encoding="utf-8")


def configured(sh: Shell) -> dict[str, Any]:
    content = tomllib.loads((sh.directory / "crmsync.toml").read_text(encoding="utf-8"))
    section: dict[str, Any] = content["integrations"][0]
    return section


def stored(sh: Shell) -> dict[str, str]:
    """What is sealed."""

    async def look() -> dict[str, str]:
        vault = Vault.from_file(sh.directory / "crmsync.key")
        async with CRMSync.open(f"sqlite:///{sh.directory / 'crmsync.db'}", vault=vault) as crm:
            return {name: value.get_secret_value() for name, value in (await crm.credentials("acme")).items()}

    return anyio.run(look)


def assert_nothing_secret_is_shown(sh: Shell, done: Done, *secrets: str) -> None:
    assert secrets
    files = [file for file in sh.directory.iterdir() if file.name not in ("key.pem", "crmsync.key")]
    seen = done.out + done.err + "".join(file.read_bytes().decode("latin-1") for file in files if file.is_file())
    assert not [secret for secret in secrets if secret in seen]


def test_a_sign_in_by_browser_is_stored_tested_and_written_down(sh: Shell, port: int) -> None:
    org = sh.emulator.org
    callback = CALLBACK.format(port=port)
    app = OAuthApp(client_id="app", client_secret=SECRET, callback_urls=(callback,), rotates_refresh_tokens=True)
    org.oauth.add_app(app)
    arguments = ("connect", "salesforce", "--client-id", "app", "--from-env", "client_secret=APP_SECRET")
    done = sh.run(*arguments, "--port", str(port), "--format", "json", APP_SECRET=SECRET, **browser(sh))
    assert done.code == 0, done.out + done.err
    assert "close this page" in page_of(sh)
    assert done.json["connections"]["acme"]["ok"]
    assert done.json["sign_in"] == {
        "method": "browser",
        "stored": ["client_id", "client_secret", "refresh_token"],
        "granted": ["api", "refresh_token"],
        "missing": [],
        "config_changed": True,
    }
    assert configured(sh)["credentials"] == dict.fromkeys(("refresh_token", "client_id", "client_secret"), "vault")
    assert configured(sh)["settings"]["instance_url"] == sh.emulator.url
    held = stored(sh)
    assert_nothing_secret_is_shown(sh, done, SECRET, held["refresh_token"], held["access_token"])
    org.expire_sessions()
    assert sh.run("sync").code == 0
    assert len(sh.contacts()) == 4
    assert stored(sh)["refresh_token"] != held["refresh_token"]


def test_without_a_browser_the_address_is_printed(sh: Shell, port: int) -> None:
    sh.emulator.org.oauth.add_app(OAuthApp(client_id="app", callback_urls=(CALLBACK.format(port=port),)))
    arguments = ("connect", "salesforce", "--client-id", "app", "--no-browser", "--port", str(port))
    done = sh.run(*arguments, "--time-limit", "1", "--from-env", "client_secret=NONE", NONE="x", **browser(sh))
    assert done.code == 1
    assert f"{sh.emulator.url}/services/oauth2/authorize?" in done.err
    assert "nobody signed in within 1 seconds" in done.err
    assert not (sh.directory / "page").exists()
    assert configured(sh)["credentials"] == {"access_token": "env:SF_TOKEN"}


def test_a_user_who_denies_is_told_so_and_nothing_changes(sh: Shell, port: int) -> None:
    sh.emulator.org.oauth.add_app(OAuthApp(client_id="app", callback_urls=(CALLBACK.format(port=port),)))
    sh.emulator.org.oauth.auto_approve_as = "nobody@nowhere.example"
    assert sh.run("connect", "--test").code == 0
    before = stored(sh)
    arguments = ("connect", "salesforce", "--client-id", "app", "--port", str(port), "--format", "json")
    done = sh.run(*arguments, **browser(sh))
    assert done.code == 1
    assert "did not allow it" in done.json["error"]["message"]
    assert stored(sh) == before


def test_a_sign_in_by_jwt_needs_no_terminal(sh: Shell) -> None:
    org = sh.emulator.org
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    username = str(org.oauth.auto_approve_as)
    org.oauth.add_app(OAuthApp(client_id="app", public_key=public.decode(), preauthorized=(username,)))
    (sh.directory / "key.pem").write_text(pem, encoding="ascii")
    arguments = ("--jwt-key", "key.pem", "--client-id", "app", "--username", username)
    done = sh.run("connect", "salesforce", *arguments)
    assert done.code == 0, done.err
    assert "acme: connected" in done.out
    assert set(configured(sh)["credentials"]) == {"client_id", "username", "private_key"}
    assert_nothing_secret_is_shown(sh, done, pem.splitlines()[3], stored(sh)["access_token"])
    (sh.directory / "key.pem").unlink()
    assert sh.run("plan").code == 0
    # Ten minutes later by the org's clock alone, in a new session.
    org.advance(600)
    org.expire_sessions()
    assert sh.run("plan").code == 0
    tested = sh.run("connect", "--test")
    assert tested.code == 0, tested.err
    assert "seconds behind Salesforce's" in tested.out + tested.err


def test_a_sign_in_by_client_credentials_keeps_the_secret_where_it_is(sh: Shell) -> None:
    org = sh.emulator.org
    org.oauth.add_app(OAuthApp(client_id="app", client_secret=SECRET, run_as=org.oauth.auto_approve_as))
    text = (sh.directory / "crmsync.toml").read_text(encoding="utf-8")
    changed = text.replace('access_token = "env:SF_TOKEN"', 'client_secret = "env:APP_SECRET"')
    (sh.directory / "crmsync.toml").write_text(changed, encoding="utf-8")
    arguments = ("connect", "salesforce", "--client-credentials", "--client-id", "app")
    done = sh.run(*arguments, APP_SECRET=SECRET)
    assert done.code == 0, done.err
    assert configured(sh)["credentials"] == {"client_id": "vault", "client_secret": "env:APP_SECRET"}
    assert_nothing_secret_is_shown(sh, done, SECRET, stored(sh)["access_token"])
    assert sh.run("plan", APP_SECRET=SECRET).code == 0
    wrong = sh.run("connect", "salesforce", "--client-credentials", "--client-id", "app", APP_SECRET="wrong")
    assert wrong.code == 1
    assert "client_secret is wrong" in wrong.err
    assert stored(sh)["client_secret"] == SECRET


def test_the_login_of_the_sf_command_is_borrowed(sh: Shell) -> None:
    answer = {"status": 0, "result": {"accessToken": sh.emulator.access_token, "instanceUrl": sh.emulator.url}}
    sf = sh.directory / "sf"
    sf.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n", encoding="utf-8")
    sf.chmod(0o755)
    path = f"{sh.directory}:/usr/bin:/bin"
    done = sh.run("connect", "salesforce", "--sf-org", "my-alias", PATH=path)
    assert done.code == 0, done.err
    assert configured(sh)["settings"]["sf"] == {"org": "my-alias"}
    assert configured(sh)["credentials"] == {}
    assert sh.run("plan", PATH=path).code == 0
    assert sh.run("disconnect", PATH=path).code == 0
    assert sh.emulator.org.oauth.session(sh.emulator.access_token, sh.emulator.org.now()) is not None


def test_an_access_token_is_taken_by_reference_only(sh: Shell) -> None:
    done = sh.run("connect", "salesforce", "--access-token", "env:SF_TOKEN")
    assert done.code == 0, done.err
    assert configured(sh)["credentials"] == {"access_token": "env:SF_TOKEN"}
    refused = sh.run("connect", "salesforce", "--access-token", "00D!typed")
    assert refused.code == 2
    assert "typed" not in refused.out + refused.err


@pytest.mark.parametrize(
    "arguments,text",
    [
        (("connect", "--client-credentials"), "crmsync connect salesforce"),
        (("connect", "salesforce", "--client-credentials", "--sf-org", "x"), "choose one of"),
        (("connect", "salesforce", "--test"), "choose one of"),
        (("connect", "salesforce", "--client-credentials"), "needs client_id, client_secret"),
        (("connect", "salesforce", "--jwt-key", "absent.pem"), "absent.pem cannot be read"),
        (("connect", "memory"), "no integration whose provider"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_done(sh: Shell, arguments: tuple[str, ...], text: str) -> None:
    done = sh.run(*arguments)
    assert done.code == 2
    assert text in done.err


def test_answers_may_come_from_stdin_and_a_refused_one_is_not_stored(sh: Shell) -> None:
    done = sh.run("connect", "salesforce", "--client-credentials", stdin=f"client_id=app\nclient_secret={SECRET}\n")
    assert done.code == 1
    assert "no app with this client_id" in done.err
    assert not (sh.directory / "crmsync.db").exists() or sh.run("status", "--format", "json").code == 0
    assert_nothing_secret_is_shown(sh, done, SECRET)


def test_disconnecting_revokes_what_was_granted_and_keeps_the_links(sh: Shell, port: int) -> None:
    org = sh.emulator.org
    org.oauth.add_app(OAuthApp(client_id="app", callback_urls=(CALLBACK.format(port=port),)))
    arguments = ("connect", "salesforce", "--client-id", "app", "--port", str(port))
    assert sh.run(*arguments, **browser(sh)).code == 0
    assert sh.run("sync").code == 0
    held = stored(sh)
    done = sh.run("disconnect", "--format", "json")
    assert done.code == 0
    assert done.json == {"disconnected": {"acme": {"revoked": True, "reason": "", "forgotten": False}}}
    assert org.oauth.grant_of(held["refresh_token"]) is None
    assert org.oauth.session(held["access_token"], org.now()) is None
    assert stored(sh) == {}
    refused = sh.run("sync")
    assert refused.code == 2
    assert "run `crmsync connect salesforce` to sign in" in refused.err
    assert sh.run(*arguments, **browser(sh)).code == 0
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


def test_disconnecting_works_while_the_org_cannot_be_reached(sh: Shell) -> None:
    assert sh.run("connect", "--test").code == 0
    sh.emulator.org.faults.fail_next(times=20, status=503, path="revoke")
    done = sh.run("disconnect")
    assert done.code == 0
    assert "forgotten, but not revoked: Salesforce could not sign in now" in done.out
    assert "Setup, OAuth Usage" in done.out
    assert stored(sh) == {}
    again = sh.run("disconnect")
    assert again.code == 0
    assert "there was nothing of ours to revoke" in again.out


def test_disconnecting_may_forget_the_links_too(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    done = sh.run("disconnect", "--forget", "--format", "json")
    assert done.json["disconnected"]["acme"]["forgotten"]
    assert sh.run("disconnect").code == 1
