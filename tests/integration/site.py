"""One installation of crmsync between a table and an emulated org, its bookkeeping on SQLite or PostgreSQL.

The ``crmsync`` command is a process of its own here, so that it can be stopped, killed, and run twice at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
import sqlalchemy as sa

from crmsync.models.state import Conflict, Cursors, JournalEntry, Link, RemoteJob
from crmsync.storage.sql import open_repository
from crmsync.testing.salesforce import SalesforceOrg
from tests.integration.shell import Done, Shell, shell

LEASE_SECONDS = 2
_PATIENCE = 60.0
_DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
_WRITERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
_FIELDS = {"email": "Email", "first_name": "FirstName", "last_name": "LastName", "phone": "Phone"}

people = sa.Table(
    "people",
    sa.MetaData(),
    sa.Column("id", sa.String(64), primary_key=True),
    *(sa.Column(name, sa.String(255)) for name in (*_FIELDS, "company")),
    sa.Column("updated_at", sa.DateTime),
)


@attrs.frozen
class Books:
    """What the bookkeeping holds of the one object."""

    links: list[Link]
    cursors: Cursors
    journal: list[JournalEntry]
    jobs: list[RemoteJob]
    conflicts: list[Conflict]


@attrs.frozen
class Site:
    """The directory, the two sides, and the bookkeeping."""

    sh: Shell
    storage: str
    engine: sa.Engine

    @property
    def org(self) -> SalesforceOrg:
        """The emulated org."""
        return self.sh.emulator.org

    def called(self, endpoint: str) -> bool:
        """Whether a call whose method and path begin like this took effect."""
        with self.org.lock:
            return any(name.startswith(endpoint) for name in self.org.calls)

    def has_job(self, state: str) -> bool:
        """Whether a bulk job with rows is in this state."""
        with self.org.lock:
            return any(job.state == state and job.data for job in self.org.bulk.ingest.values())

    def enter(self, numbers: range) -> None:
        """Somebody enters people in the table."""
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = [{"id": f"m{n:04}", **_person(n), "phone": f"+49 {n}", "updated_at": now} for n in numbers]
        with self.engine.begin() as connection:
            connection.execute(sa.insert(people), rows)

    def enter_in_crm(self, numbers: range) -> None:
        """Somebody enters contacts in the CRM."""
        for n in numbers:
            fields = {_FIELDS[name]: value for name, value in _person(n).items()}
            self.org.create("Contact", {**fields, "Phone": f"+1 {n}"})

    def edit(self, number: int, **values: str) -> None:
        """Somebody edits a row of the table."""
        now = datetime.now(UTC).replace(tzinfo=None)
        with self.engine.begin() as connection:
            change = sa.update(people).where(people.c.email == _person(number)["email"])
            assert connection.execute(change.values(**values, updated_at=now)).rowcount == 1

    def edit_in_crm(self, number: int, **values: str) -> None:
        """Somebody edits a contact of the CRM."""
        email = _person(number)["email"]
        (found,) = (c["Id"] for c in self.sh.contacts() if c["Email"] == email)
        self.org.update("Contact", found, values)

    def table(self) -> list[dict[str, Any]]:
        """The rows of the table."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.select(people).order_by("email")).mappings()]

    def held(self) -> list[tuple[Any, ...]]:
        """What both sides hold.

        Fails if they differ, or if somebody is there twice.
        """
        ours = [tuple(row[name] for name in _FIELDS) for row in self.table()]
        theirs = sorted(tuple(c[name] for name in _FIELDS.values()) for c in self.sh.contacts())
        assert ours == theirs
        assert len({row[0] for row in ours}) == len(ours)
        keys = sorted(c["MarkMail_Id__c"] for c in self.sh.contacts())
        assert keys == sorted(row["id"] for row in self.table())
        return ours

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``crmsync sync`` and do not wait for it."""
        return subprocess.Popen(
            self.sh.command("sync", "--format", "json", *arguments),
            cwd=self.sh.directory,
            env=self.sh.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sync(self, *arguments: str) -> Done:
        """Run ``crmsync sync`` to its end."""
        return self.sh.run("sync", "--format", "json", *arguments)

    def synced(self) -> Mapping[str, Any]:
        """The report of a run that ends well."""
        done = self.sync()
        assert done.code == 0, done.out + done.err
        report: Mapping[str, Any] = done.json["runs"][0]
        return report

    def books(self) -> Books:
        """What the bookkeeping holds now."""
        return anyio.run(self._books)

    async def _books(self) -> Books:
        async with open_repository(self.storage) as repository:
            return Books(
                await repository.scan_links("acme", "Contact", limit=100_000),
                await repository.get_cursors("acme", "Contact"),
                await repository.list_journal("acme", "Contact"),
                await repository.list_remote_jobs("acme", "Contact"),
                await repository.list_conflicts("acme", "Contact"),
            )


def ended(process: subprocess.Popen[str]) -> Done:
    """What a started command said at its end."""
    out, err = process.communicate(timeout=_PATIENCE)
    return Done(process.returncode, out, err)


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Look often; the process must not end before."""
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        if process.poll() is not None:
            raise AssertionError(f"it ended too soon: {ended(process)}")
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def stop(process: subprocess.Popen[str], storage: str) -> None:
    """Let it stand still where it has no transaction open: its locks would keep everybody out until it goes on."""
    while True:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        if not _is_writing(storage):
            return
        process.send_signal(signal.SIGCONT)
        time.sleep(0.01)


def errors_of(done: Done) -> Any:
    """The error of a command that failed."""
    assert "Traceback" not in done.err, done.err
    return json.loads(done.out)["error"]


@contextmanager
def site(directory: Path, storage: str, request: pytest.FixtureRequest, **settings: Any) -> Iterator[Site]:
    """A new one. ``storage`` is ``sqlite``, ``postgresql`` or a URL; ``settings`` are the provider's."""
    url = f"sqlite:///{directory / 'crmsync.db'}" if storage == "sqlite" else storage
    if storage == "postgresql":
        url = request.getfixturevalue("postgres_url")
        _forget_everything(url)
    with shell(directory) as sh:
        app = f"sqlite:///{directory / 'app.db'}"
        engine = sa.create_engine(app)
        people.metadata.create_all(engine)
        local = f'type = "sql"\nurl = "{app}"\ntable = "people"\nkey = "id"\nupdated_at = "updated_at"'
        path = directory / "crmsync.toml"
        text = path.read_text("utf-8").replace('"sqlite:///crmsync.db"', json.dumps(url))
        text = text.replace('type = "csv"\npath = "people.csv"', local)
        given = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
        text = text.replace("[integrations.settings]\n", f"[integrations.settings]\n{given}")
        text = text.replace("lease_seconds = 2", f"lease_seconds = {LEASE_SECONDS}")
        path.write_text(text, encoding="utf-8")
        try:
            yield Site(sh, url, engine)
        finally:
            engine.dispose()


def _person(number: int) -> dict[str, str]:
    return {"email": f"p{number:04}@example.org", "first_name": f"First{number}", "last_name": f"Last{number}"}


def _is_writing(storage: str) -> bool:
    """Whether somebody has written to the bookkeeping and not committed."""
    url = sa.make_url(storage)
    engine = sa.create_engine(url.set(drivername=_DRIVERS[url.drivername]), poolclass=sa.NullPool)
    with engine.connect() as connection:
        if url.drivername == "postgresql":
            return bool(connection.exec_driver_sql(_WRITERS).scalar())
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except sa.exc.OperationalError:
            return True
        return False


def _forget_everything(storage: str) -> None:
    """Tests of one process share a database; each begins with an empty one."""

    async def forget() -> None:
        async with open_repository(storage) as repository:
            for integration in await repository.list_integrations():
                await repository.delete_integration(integration.id)

    anyio.run(forget)
