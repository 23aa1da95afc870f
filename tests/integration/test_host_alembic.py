"""A host application with an Alembic project of its own, and crmsync's migrations beside its own in one database."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from crmsync.storage.sql import open_repository
from crmsync.storage.sql.revision import HEAD
from crmsync.testing.repository_subject import integration, link, store_links
from tests.postgres import new_database

pytestmark = pytest.mark.anyio

INI = """
[alembic]
script_location = %(here)s/migrations
sqlalchemy.url = {host}

[crmsync]
script_location = crmsync.storage.sql:migrations
sqlalchemy.url = {crmsync}
"""

ENV = """
import sqlalchemy as sa
from alembic import context

metadata = sa.MetaData()
sa.Table("users", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("email", sa.Text))

def is_ours(name, kind, parents):
    # Alembic would propose to drop what it does not know.
    return kind != "table" or not name.startswith("sync_")

engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, include_name=is_ours)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""

FIRST = """
import sqlalchemy as sa
from alembic import op

revision = "0001"  # the same as one of crmsync's
down_revision = None

def upgrade():
    op.create_table("users", sa.Column("id", sa.Integer, primary_key=True), sa.Column("email", sa.Text))

def downgrade():
    op.drop_table("users")
"""


@attrs.frozen
class Host:
    """The host's project, and crmsync's storage URL in its database."""

    directory: Path
    url: str
    storage: str

    def own(self, work: Callable[..., object], *arguments: str) -> str:
        """What a command of Alembic prints, on the host's own migrations."""
        return self._run("alembic", work, *arguments)

    def ours(self, work: Callable[..., object], *arguments: str, **options: bool) -> str:
        """The same with ``--name crmsync``."""
        return self._run("crmsync", work, *arguments, **options)

    def _run(self, section: str, work: Callable[..., object], *arguments: str, **options: bool) -> str:
        printed = io.StringIO()
        ini = self.directory / "alembic.ini"
        work(Config(ini, ini_section=section, stdout=printed, output_buffer=printed), *arguments, **options)
        return printed.getvalue()

    def tables(self) -> set[str]:
        engine = sa.create_engine(self.url)
        names = set(sa.inspect(engine).get_table_names())
        engine.dispose()
        return names


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "sqlite":
        yield project(tmp_path, sa.make_url(f"sqlite:///{tmp_path / 'app.db'}"))
        return
    with new_database(request.getfixturevalue("postgres_url")) as url:
        yield project(tmp_path, sa.make_url(url).set(drivername="postgresql+psycopg"))


def project(directory: Path, url: sa.URL) -> Host:
    """What a host application has: a configuration, an environment, a revision."""
    ours = url.update_query_dict({"table_prefix": "sync_"})
    texts = [one.render_as_string(hide_password=False) for one in (url, ours)]
    host, crmsync = (text.replace("%", "%%") for text in texts)
    (directory / "alembic.ini").write_text(INI.format(host=host, crmsync=crmsync), encoding="utf-8")
    versions = directory / "migrations" / "versions"
    versions.mkdir(parents=True)
    (directory / "migrations" / "env.py").write_text(ENV, encoding="utf-8")
    (directory / "migrations" / "script.py.mako").write_text("", encoding="utf-8")
    (versions / "first.py").write_text(FIRST, encoding="utf-8")
    return Host(directory, *texts)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_migrations_of_both_live_in_one_database(host: Host) -> None:
    host.own(command.upgrade, "head")
    host.ours(command.upgrade, "0009")
    assert host.ours(command.current).strip() == "0009"
    script = host.ours(command.upgrade, "0009:0010", sql=True)
    assert "ALTER TABLE sync_crm_sync_status ADD COLUMN flips" in script
    async with open_repository(host.storage) as repository:
        await repository.save_integration(integration())
        await store_links(repository, [link(1)])
    assert host.ours(command.current).strip() == f"{HEAD} (head)"
    assert {"users", "alembic_version", "sync_crmsync_alembic_version", "sync_crm_sync_status"} <= host.tables()
    assert "No new upgrade operations detected" in host.own(command.check), "the host's own Alembic leaves ours alone"
    host.ours(command.downgrade, "-1")
    host.ours(command.upgrade, "head")
    async with open_repository(host.storage) as repository:
        assert [one.markmail_id for one in await repository.scan_links("ours", "Contact")] == ["m1"]
    host.own(command.downgrade, "base")
    assert "users" not in host.tables()
    assert "sync_crm_sync_status" in host.tables()
    host.own(command.upgrade, "head")
