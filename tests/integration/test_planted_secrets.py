"""Secrets are planted, all is exercised, and no log, error, report, output, pickle or database has any of them."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import attrs
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, SecretStr

from crmsync import CRMSync, ObjectMapping, Vault, two_way
from crmsync.errors import CRMError
from crmsync.models.audit import Actor
from crmsync.security.keys.file import FileKeys
from crmsync.security.sealing import unseal
from crmsync.testing.memory_records import MemoryRecordStore
from crmsync.testing.salesforce import OAuthApp, RunningEmulator, SalesforceOrg, running_emulator
from tests.integration.shell import FIELDS, Shell, shell

APP_SECRET = "planted/app+secret=0815"
REFRESH = "planted-refresh-token-4711"
WRONG = "planted-wrong-token-1234"
MAPPING = ObjectMapping(
    fields=(two_way("email", "Email", field_type="email"), two_way("last_name", "LastName", required=True))
)


@pytest.fixture
def anyio_backend() -> str:
    """What is shown does not depend on the event loop."""
    return "asyncio"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def username_of(org: SalesforceOrg) -> str:
    user = org.get("User", org.user_id)
    assert user is not None
    return str(user["Username"])


@pytest.fixture(scope="module")
def emulator(key: rsa.RSAPrivateKey) -> Iterator[RunningEmulator]:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    user = username_of(SalesforceOrg())
    apps = [
        OAuthApp(client_id="rotating", client_secret=APP_SECRET, rotates_refresh_tokens=True),
        OAuthApp(client_id="server", client_secret=APP_SECRET, run_as=user),
        OAuthApp(client_id="signing", public_key=public, preauthorized=(user,)),
    ]
    org = SalesforceOrg(apps=apps)
    grant = org.oauth.new_grant("rotating", org.user_id, ("api", "refresh_token"))
    org.oauth.add_refresh_token(REFRESH, grant)
    with running_emulator(org) as running:
        yield running


@attrs.define
class Seen:
    """Everything that came to light, and what must not have."""

    secrets: set[str] = attrs.field(factory=set)
    texts: list[str] = attrs.field(factory=list)

    def look(self, shown: object) -> None:
        """At any object, in every form that it takes by itself."""
        self.texts += [repr(shown), str(shown), f"{shown}"]
        if isinstance(shown, BaseModel):
            self.texts += [shown.model_dump_json(), repr(shown.model_dump()), repr(vars(shown))]
        if isinstance(shown, BaseException):
            self.texts += traceback.format_exception(shown)
        try:
            self.texts.append(pickle.dumps(shown).decode("latin-1"))
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            self.texts.append(str(error))
        try:
            self.texts.append(json.dumps(shown, default=str))
        except (TypeError, ValueError) as error:
            self.texts.append(str(error))

    def plant(self, secret: str) -> None:
        if len(secret) > 8:  # a client id is no secret, and "app" is in many words
            self.secrets |= {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}

    def leaks(self) -> list[str]:
        whole = "\0".join(self.texts)
        return [secret[:12] for secret in self.secrets if secret in whole]


def credentials(way: str, org: SalesforceOrg, key: rsa.RSAPrivateKey) -> dict[str, str]:
    return {
        "token": {"access_token": org.access_token},
        "rotating": {"refresh_token": REFRESH, "client_id": "rotating", "client_secret": APP_SECRET},
        "server": {"client_id": "server", "client_secret": APP_SECRET},
        "signing": {"client_id": "signing", "username": username_of(org), "private_key": pem(key)},
    }[way]


@asynccontextmanager
async def failing(seen: Seen) -> AsyncIterator[None]:
    """What is done within may fail; the error is looked at."""
    try:
        yield
    except CRMError as error:
        seen.look(error)


@pytest.mark.parametrize("shown", [WRONG, SecretStr(WRONG), [quote(APP_SECRET, safe="")], CRMError(f"of {APP_SECRET}")])
def test_these_tests_would_notice(shown: object) -> None:
    """A pickle of pydantic's own secrets has the text."""
    seen = Seen()
    seen.plant(APP_SECRET)
    seen.plant(WRONG)
    seen.look(Vault.from_key(Vault.generate_key()))
    assert seen.leaks() == []
    seen.look(shown)
    assert seen.leaks()


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["token", "rotating", "server", "signing"])
async def test_nothing_shows_a_planted_secret_in_any_way_of_signing_in(
    way: str, emulator: RunningEmulator, key: rsa.RSAPrivateKey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    org, seen, keys = emulator.org, Seen(), FileKeys(tmp_path / "keys")
    keys.generate()
    given = credentials(way, org, key)
    for name, secret in given.items():
        if name not in {"client_id", "username"}:
            seen.plant(secret)
    seen.plant(keys.load()[0].reveal())
    storage = f"sqlite:///{tmp_path / 'state.db'}"
    async with CRMSync.open(storage, vault=Vault(keys), actor=Actor("tester")) as crm:
        await exercise(crm, seen, emulator, given)
        await break_things(crm, seen, emulator, keys)
        await rotate(crm, seen, keys)
        seen.look(await crm.disconnect("acme"))
        lines = list[str]()
        await crm.export_audit(lines.append)
        seen.texts += lines
    for file in tmp_path.glob("state.db*"):
        seen.texts.append(file.read_bytes().decode("latin-1"))
    # What the emulator's own server logs is not ours.
    ours = [record for record in caplog.records if not record.name.startswith("uvicorn")]
    assert any(record.name.startswith("http") for record in ours), "the HTTP client was to be listened to"
    seen.texts += [f"{record.getMessage()} {record.exc_text} {record.args!r}" for record in ours]
    assert seen.leaks() == []


async def exercise(crm: CRMSync, seen: Seen, emulator: RunningEmulator, given: Mapping[str, str]) -> None:
    settings = {"instance_url": emulator.url, "allow_insecure_loopback": True, "retry_wait": 0.0}
    seen.look(
        await crm.add_integration(
            "acme", provider="salesforce", settings=settings, credentials=given, mappings={"Contact": MAPPING}
        )
    )
    seen.look(await crm.integrations())
    local = MemoryRecordStore("subscribers")
    local.add(email="ada@example.org", last_name="Lovelace")
    seen.look(await crm.test_connection("acme"))
    seen.look(await crm.plan("acme", "Contact", local))
    seen.look(await crm.sync("acme", "Contact", local))
    seen.look(await crm.status("acme"))
    await hold(crm, seen)
    if "access_token" not in given:
        emulator.org.expire_sessions()
        async with crm.provider("acme") as provider:
            seen.look(provider)
            seen.look(await provider.get_contact("ada@example.org"))
        await hold(crm, seen)
    seen.look(crm)
    seen.look(crm._vault)
    seen.look(crm._vault.source)
    seen.look(await crm.keys())
    seen.look(await crm.audit_log())
    seen.look(crm._credential_store("acme"))


async def hold(crm: CRMSync, seen: Seen) -> None:
    """What is sealed by now counts as planted, too: tokens that were renewed, the key of the shadows."""
    integration = await crm.repository.get_integration("acme")
    secrets = unseal(crm._vault, integration)
    for name, value in secrets.credentials.items():
        if name not in {"client_id", "username", "instance_url"}:
            seen.plant(value.get_secret_value())
    seen.plant(base64.b64encode(secrets.digest_key).decode())
    for one in (integration, secrets, await crm.credentials("acme")):
        seen.look(one)


async def break_things(crm: CRMSync, seen: Seen, emulator: RunningEmulator, keys: FileKeys) -> None:
    emulator.org.faults.fail_next(times=9, status=503)
    async with failing(seen):
        seen.look(await crm.test_connection("acme"))
    emulator.org.faults.clear()
    sound = await crm.repository.get_integration("acme")
    seen.plant(WRONG)
    wrong = {name: SecretStr(WRONG) for name in await crm.credential_names("acme") if name != "instance_url"}
    await crm._credential_store("acme").save(wrong)
    async with failing(seen):
        seen.look(await crm.test_connection("acme"))
    damaged = sound.credentials[:-6] + "AAAAAA"
    for text in (damaged, sound.credentials[:30], ""):
        await crm.repository.save_integration(sound.model_copy(update={"credentials": text}))
        async with failing(seen):
            await crm.test_connection("acme")
        seen.look(await crm.check_keys())
    await crm.repository.save_integration(sound)
    stranger = CRMSync(crm.repository, vault=Vault.from_key(Vault.generate_key()))
    async with failing(seen):
        await stranger.test_connection("acme")
    seen.look(await stranger.keys())
    async with failing(seen):
        Vault.from_key(keys.load()[0].reveal() + "x")


async def rotate(crm: CRMSync, seen: Seen, keys: FileKeys) -> None:
    old = crm._vault.key_ids[0]
    new = await crm.generate_key()
    for key in keys.load():
        seen.plant(key.reveal())
    seen.look(await crm.rotate_keys(to=new, renew=True))
    seen.look(await crm.retire_key(old))
    seen.look(await crm.test_connection("acme"))


def test_no_output_of_the_command_line_shows_a_planted_secret(tmp_path: Path) -> None:
    """Also not with ``--debug``, and not where commands fail."""
    with shell(tmp_path) as sh:
        seen = Seen()
        sh.configure(FIELDS)
        config = sh.directory / "crmsync.toml"
        text = config.read_text(encoding="utf-8").replace('"env:SF_TOKEN"', '"vault"')
        config.write_text(text, encoding="utf-8")
        token = sh.emulator.access_token
        for secret in (token, WRONG, (sh.directory / "crmsync.key").read_text(encoding="ascii").strip()):
            seen.plant(secret)
        commands(sh, seen, token)
        for file in sh.directory.iterdir():
            if file.is_file() and file.name != "crmsync.key":
                seen.texts.append(file.read_bytes().decode("latin-1"))
        assert seen.leaks() == []


def commands(sh: Shell, seen: Seen, token: str) -> None:
    def run(*arguments: str, code: int | None = 0, **options: str) -> None:
        for form in ((), ("--format", "json")) if arguments[0] in {"connect", "keys", "audit"} else ((),):
            done = sh.run(*arguments, *form, **options)
            assert code is None or done.code == code, done.err
            seen.texts += [done.out, done.err]

    run("connect", stdin=token)
    run("sync", "--debug")
    run("keys", "list")
    run("keys", "check")
    run("keys", "generate")
    seen.plant(FileKeys(sh.directory / "crmsync.key").load()[1].reveal())
    run("keys", "rotate", "--to", FileKeys(sh.directory / "crmsync.key").load()[1].id)
    run("status")
    run("audit", "list")
    run("audit", "verify")
    run("connect", stdin=WRONG, code=1)
    run("audit", "export", os.devnull, code=2)
    run("disconnect", "--debug")
    run("sync", code=2)
