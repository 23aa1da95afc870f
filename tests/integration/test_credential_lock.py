"""The lock around an integration's credentials, held against real other processes."""

from __future__ import annotations

import sys
import textwrap

import anyio
import pytest

from crmsync import CRMSync, Vault

pytestmark = pytest.mark.anyio

ROUNDS = 15
COUNTER = textwrap.dedent("""
    import sys

    import anyio
    from pydantic import SecretStr

    from crmsync import CRMSync, Vault

    async def count() -> None:
        async with CRMSync.open(sys.argv[1], vault=Vault.from_key(sys.argv[2])) as crm:
            store = crm._credential_store("acme")
            for _ in range(int(sys.argv[3])):
                async with store.exclusive():
                    counted = int((await store.load())["counter"].get_secret_value())
                    await anyio.sleep(0.002)
                    await store.save({"counter": SecretStr(str(counted + 1))})

    anyio.run(count)
""")


async def test_two_processes_never_hold_the_credentials_at_once(storage: str) -> None:
    key = Vault.generate_key()
    async with CRMSync.open(storage, vault=Vault.from_key(key)) as crm:
        await crm.add_integration("acme", provider="memory", settings={}, credentials={"counter": "0"})
        command = [sys.executable, "-c", COUNTER, storage, key, str(ROUNDS)]
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(anyio.run_process, command)
        counted = (await crm.credentials("acme"))["counter"].get_secret_value()
    assert counted == str(2 * ROUNDS)
