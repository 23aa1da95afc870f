"""Mapping templates in a SQL database."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crmsync.errors import NotFoundError
from crmsync.models.integrations import MappingTemplate
from crmsync.storage import admission
from crmsync.storage.sql import rows
from crmsync.storage.sql.database import Database
from crmsync.storage.sql.tables import templates


class SqlTemplates:
    """The part of `SqlRepository` that is a `TemplateRepository`."""

    _database: Database

    async def save_template(self, template: MappingTemplate) -> None:
        row = rows.template_row(admission.settled_template(template))
        replaced = sa.or_(_named(template.provider, template.name), templates.c.id == template.id)

        def work(connection: Connection) -> None:
            connection.execute(sa.delete(templates).where(replaced))
            connection.execute(sa.insert(templates), row)

        await self._database.write(work)

    async def get_template(self, provider: str, name: str) -> MappingTemplate:
        found = await self._read_templates(sa.select(templates).where(_named(provider, name)))
        if not found:
            raise NotFoundError(admission.no_template(provider, name))
        return found[0]

    async def list_templates(self, provider: str | None = None) -> list[MappingTemplate]:
        query = sa.select(templates).order_by(templates.c.provider, templates.c.name)
        return await self._read_templates(query if provider is None else query.where(templates.c.provider == provider))

    async def delete_template(self, provider: str, name: str) -> None:
        statement = sa.delete(templates).where(_named(provider, name))
        if not await self._database.write(lambda connection: connection.execute(statement).rowcount):
            raise NotFoundError(admission.no_template(provider, name))

    async def _read_templates(self, query: sa.Select[tuple[object, ...]]) -> list[MappingTemplate]:
        return await self._database.read(
            lambda connection: [rows.template_of(row) for row in connection.execute(query)]
        )


def _named(provider: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(templates.c.provider == provider, templates.c.name == name)
