"""What is done again after the database undid it, and what is found out where its answer was lost."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import ConcurrentUpdateError, StorageError
from crmsync.storage.sql import open_repository
from crmsync.storage.sql.database import Database, open_database

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """All of this happens in worker threads: one event loop will do."""
    return "asyncio"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """With a table of two numbers."""
    async with open_database(postgres_url) as opened:
        await run(opened, "CREATE TABLE tries (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
        await run(opened, "INSERT INTO tries VALUES (1, 0), (2, 0)")
        yield opened
        await run(opened, "DROP TABLE tries")


async def run(database: Database, statement: str) -> None:
    await database.write(lambda connection: connection.exec_driver_sql(statement))


async def numbers(database: Database) -> list[int]:
    query = sa.text("SELECT n FROM tries ORDER BY id")
    return await database.read(lambda connection: list(connection.execute(query).scalars()))


def add(connection: Connection, number: int) -> None:
    connection.exec_driver_sql("UPDATE tries SET n = n + 1 WHERE id = %s", (number,))


async def test_of_two_that_wait_for_each_other_both_get_done(database: Database) -> None:
    together = threading.Barrier(2)
    calls = []

    def work(first: int, second: int, connection: Connection) -> None:
        calls.append(first)
        add(connection, first)
        if len(calls) <= 2:
            together.wait(10)
        add(connection, second)

    async with anyio.create_task_group() as tasks:
        for first, second in ((1, 2), (2, 1)):
            tasks.start_soon(database.write, lambda c, f=first, s=second: work(f, s, c))
    assert await numbers(database) == [2, 2]
    assert len(calls) == 3, "one of them was undone and done again"


async def test_what_cannot_be_serialised_is_done_again(database: Database) -> None:
    url = sa.make_url(str(database.url.render_as_string(hide_password=False))).update_query_dict(
        {"options": "-c default_transaction_isolation=serializable"}
    )
    async with open_database(url.render_as_string(hide_password=False)) as strict:
        together = threading.Barrier(2)
        calls = []

        def work(connection: Connection) -> None:
            calls.append(1)
            total = connection.exec_driver_sql("SELECT sum(n) FROM tries").scalar_one()
            if len(calls) <= 2:
                together.wait(10)
            connection.exec_driver_sql("UPDATE tries SET n = %s WHERE id = 1", (total + 1,))

        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(strict.write, work)
        assert await numbers(strict) == [2, 0], "neither saw half of the other"


async def test_one_who_always_gives_way_ends_with_a_clear_error(database: Database) -> None:
    fail = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"
    with pytest.raises(ConcurrentUpdateError, match=r"gave way to another transaction \(40001\): try again"):
        await run(database, fail)


async def test_a_statement_that_takes_too_long_is_ended(database: Database) -> None:
    limited = database.url.update_query_dict({"options": "-c statement_timeout=100ms"})
    async with open_database(limited.render_as_string(hide_password=False)) as impatient:
        with pytest.raises(StorageError, match="took too long over a statement"):
            await run(impatient, "SELECT pg_sleep(10)")
        assert await numbers(impatient) == [0, 0]
    show = sa.text("SHOW statement_timeout")
    assert await database.read(lambda connection: connection.scalar(show)) == "5min"


async def test_work_whose_connection_is_lost_before_the_end_is_done_again_once(database: Database) -> None:
    calls = []

    def work(connection: Connection) -> None:
        add(connection, 1)
        calls.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if len(calls) == 1:
            with database.engine.connect() as other:
                other.exec_driver_sql("SELECT pg_terminate_backend(%s)", (calls[0],))
        add(connection, 2)

    await database.write(work)
    assert await numbers(database) == [1, 1]
    assert len(set(calls)) == 2


async def test_work_that_postgresql_ended_since_it_stood_still_is_done_again(database: Database) -> None:
    """Whoever lost the lease meanwhile finds that out there; whoever did not goes on."""
    calls = []

    def work(connection: Connection) -> None:
        add(connection, 1)
        calls.append(1)
        if len(calls) == 1:
            time.sleep(0.3)
        add(connection, 2)

    limited = database.url.update_query_dict({"stall_timeout": "0.1"})
    async with open_database(limited.render_as_string(hide_password=False)) as slow:
        await slow.write(work)
    assert await numbers(database) == [1, 1]
    assert len(calls) == 2


COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


@attrs.define
class Line:
    """A line to a PostgreSQL server that is cut when a COMMIT comes along.

    ``cut`` is ``before`` (the server never gets it) or ``after`` (its answer is lost); a line that was cut works again.
    """

    server: str | tuple[str, int]
    port: int
    cut: str = ""
    cuts: int = 0

    def url(self, database: Database) -> str:
        plain = database.url.set(host="127.0.0.1", port=self.port).difference_update_query(["host", "port"])
        return plain.update_query_dict({"sslmode": "disable"}).render_as_string(hide_password=False)

    def serve(self, client: socket.socket) -> None:
        family = socket.AF_UNIX if isinstance(self.server, str) else socket.AF_INET
        with client, socket.socket(family) as upstream:
            try:
                upstream.connect(self.server)
            except OSError:
                return
            answers = threading.Thread(target=self._pump, args=(upstream, client))
            answers.start()
            with suppress(OSError):
                while data := client.recv(65536):
                    if COMMIT in data and self.cut:
                        self._cut(data, client, upstream)
                        break
                    upstream.sendall(data)
            for end in (client, upstream):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _cut(self, data: bytes, client: socket.socket, upstream: socket.socket) -> None:
        how, self.cut = self.cut, ""
        self.cuts += 1
        # The client hears nothing any more, whatever the server answers.
        client.shutdown(socket.SHUT_RDWR)
        if how == "after":
            upstream.sendall(data)

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)


@contextmanager
def line_to(database: Database) -> Iterator[Line]:
    directory = database.url.query.get("host")
    server: str | tuple[str, int] = (database.url.host or "127.0.0.1", database.url.port or 5432)
    if isinstance(directory, str):
        server = str(next(Path(directory).glob(".s.PGSQL.*[0-9]")))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line = Line(server, listener.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=line.serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield line


@pytest.mark.parametrize("cut,calls", [("after", 1), ("before", 2)])
async def test_where_the_answer_to_a_commit_was_lost_the_server_is_asked_and_nothing_is_done_twice(
    database: Database, cut: str, calls: int
) -> None:
    done = []

    def work(connection: Connection) -> str:
        done.append(1)
        add(connection, 1)
        return "result"

    with line_to(database) as line:
        async with open_database(line.url(database)) as afar:
            assert await numbers(afar) == [0, 0]
            line.cut = cut
            assert await afar.write(work) == "result"
            assert line.cuts == 1
        assert await numbers(database) == [1, 0]
        assert len(done) == calls


async def test_a_server_that_stays_away_is_waited_for_once(postgres_url: str) -> None:
    """Where the first piece of work has waited, those that follow it fail at once, until the server is back."""
    async with open_database(postgres_url) as database:
        with line_to(database) as line:
            async with open_repository(f"{line.url(database)}&timeout=0.5") as repository:
                there, line.server = line.server, "/nowhere"
                repository._database.engine.dispose()
                with anyio.fail_after(5), pytest.raises(StorageError, match="cannot be reached"):
                    await repository.list_integrations()
                began = anyio.current_time()
                for _ in range(3):
                    with pytest.raises(StorageError, match="cannot be reached"):
                        await repository.list_integrations()
                assert anyio.current_time() - began < 1
                line.server = there
                await repository.list_integrations()
