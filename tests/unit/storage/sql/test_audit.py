"""The audit log in a database: it stands in the transaction that it tells of, and only grows."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import StorageError
from crmsync.storage.sql import open_repository
from crmsync.storage.sql.database import open_database
from crmsync.testing.repository_audit import event, note, renamed
from crmsync.testing.repository_subject import integration

pytestmark = pytest.mark.anyio


async def test_a_change_that_cannot_be_written_down_does_not_happen(migrated_url: str) -> None:
    def tell(_: object) -> Any:
        return note(event("ours", details={"unstorable": float("nan")}))

    async with open_repository(migrated_url) as repository:
        await repository.save_integration(integration("ours"))
        with pytest.raises((StorageError, ValueError)):
            await repository.audited(tell).change_integration("ours", renamed)
        assert await repository.get_integration("ours") == integration("ours")
        assert await repository.audit_entries("ours") == []


@pytest.mark.parametrize("prefix", ["", "mm_"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'eve'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_database_itself_refuses_to_change_an_entry(new_url: str, statement: str, prefix: str) -> None:
    is_sqlite = new_url.startswith("sqlite")
    if is_sqlite and statement.startswith("TRUNCATE"):
        statement = "DELETE FROM {} WHERE 1"
    url = f"{new_url}{'&' if '?' in new_url else '?'}table_prefix={prefix}" if prefix else new_url

    def attempt(connection: Connection) -> None:
        connection.execute(sa.text(statement.format(f"{prefix}crm_audit_log")))

    async with open_repository(url) as repository, open_database(url) as database:
        await repository.append_audit(note(event("ours")))
        with pytest.raises(StorageError):
            await database.write(attempt)
        assert [entry.event for entry in await repository.audit_entries("ours")] == [event("ours")]
