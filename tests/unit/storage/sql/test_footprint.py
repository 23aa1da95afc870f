"""What a linked record costs in the databases, by their own account: bytes are not time, so they may be held."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.models.state import Acknowledgement, Link
from crmsync.storage.sql import open_repository
from crmsync.storage.sql.database import open_database
from crmsync.testing.repository_subject import integration, shadows

pytestmark = pytest.mark.anyio

SCOPE = ("5f0c6f4e-8a39-4f0e-9d5d-3c1b7a2e9f10", "Contact")
LINKS, PAGE = 5_000, 1_000

BOUNDS = {"sqlite": 325, "postgresql": 480}
"""Bytes a link. They are 315 and, as PostgreSQL makes its files longer by many pages at once, about 410 with so few
links: of 30,000 each takes 316 and 378."""


@pytest.fixture
def anyio_backend() -> str:
    """The bytes come from the databases: one event loop will do."""
    return "asyncio"


def links() -> Iterator[Link]:
    """With UUIDs for MarkMail's ids, Salesforce's ids, and both sides the same."""
    random = Random(7)
    for number in range(LINKS):
        markmail_id = str(UUID(bytes=random.randbytes(16), version=4))
        yield Link(*SCOPE, markmail_id, f"003{number:012}AAA", **shadows(seed=number))


def bytes_stored(connection: Connection) -> int:
    """Of all our tables and indexes."""
    if connection.dialect.name == "sqlite":
        pages, free, size = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)
    query = sa.text(
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relkind = 'r' AND relname ^@ :prefix"
    )
    return int(connection.execute(query, {"prefix": "footprint_crm"}).scalar_one())


async def test_a_link_of_twenty_fields_takes_no_more_than_is_documented(new_url: str) -> None:
    url = f"{new_url}{'&' if '?' in new_url else '?'}table_prefix=footprint_"
    async with open_repository(url) as repository, open_database(url) as database:
        await repository.save_integration(integration(SCOPE[0]))
        lease = await repository.acquire_lease(*SCOPE, "me", now=datetime.now(UTC), ttl=timedelta(minutes=5))
        empty = await database.read(bytes_stored)
        stored = list(links())
        for start in range(0, LINKS, PAGE):
            await repository.acknowledge(lease, Acknowledgement(links=tuple(stored[start : start + PAGE])))
        taken = (await database.read(bytes_stored) - empty) / LINKS
        assert taken <= BOUNDS[database.engine.dialect.name]
        found = await repository.scan_links(*SCOPE, limit=LINKS)
        assert [each.local_shadow for each in found] == [
            each.local_shadow for each in sorted(stored, key=lambda one: one.markmail_id)
        ]
