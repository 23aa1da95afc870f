"""Case 30: an OAuth refresh by two workers at once, and one keeps a dead refresh token."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import ExitStack

import anyio

from crmsync import CRMSync, Vault
from crmsync.testing.salesforce import OAuthApp, SalesforceOrg, running_emulator

ROUNDS = 6
SECRET = "an-app-secret"
WORKER = textwrap.dedent("""
    import sys

    import anyio

    from crmsync import CRMSync, Vault

    async def work() -> None:
        async with CRMSync.open(sys.argv[1], vault=Vault.from_key(sys.argv[2])) as crm:
            async with crm.provider("acme") as provider:
                await provider.test_connection()
                print("ready", flush=True)
                for _ in sys.stdin:
                    await provider.get_contact("nobody@example.com")
                    print("done", flush=True)

    anyio.run(work)
""")


def test_case_30_two_workers_that_refresh_at_once_keep_one_living_refresh_token(storage: str) -> None:
    org = SalesforceOrg(apps=[OAuthApp(client_id="app", client_secret=SECRET, rotates_refresh_tokens=True)])
    org.oauth.add_refresh_token("first", org.oauth.new_grant("app", org.user_id, ("api", "refresh_token")))
    key = Vault.generate_key()
    with running_emulator(org) as emulator, ExitStack() as stack:
        anyio.run(connect, storage, key, emulator.url)
        workers = [stack.enter_context(worker(storage, key)) for _ in range(2)]
        assert [said(one) for one in workers] == ["ready", "ready"]
        before = org.calls["POST /services/oauth2/token"]
        for _ in range(ROUNDS):
            org.expire_sessions()
            for one in workers:
                tell(one)
            assert [said(one) for one in workers] == ["done", "done"]
        assert org.calls["POST /services/oauth2/token"] == before + ROUNDS
        kept = anyio.run(refresh_token, storage, key)
        assert kept != "first"
        assert org.oauth.grant_of(kept) is not None


async def connect(storage: str, key: str, url: str) -> None:
    async with CRMSync.open(storage, vault=Vault.from_key(key)) as crm:
        settings = {"instance_url": url, "allow_insecure_loopback": True}
        credentials = {"refresh_token": "first", "client_id": "app", "client_secret": SECRET}
        await crm.add_integration("acme", provider="salesforce", settings=settings, credentials=credentials)


async def refresh_token(storage: str, key: str) -> str:
    async with CRMSync.open(storage, vault=Vault.from_key(key)) as crm:
        return (await crm.credentials("acme"))["refresh_token"].get_secret_value()


def worker(storage: str, key: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, storage, key]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(one: subprocess.Popen[str]) -> None:
    assert one.stdin is not None
    one.stdin.write("\n")
    one.stdin.flush()


def said(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    return one.stdout.readline().strip()
