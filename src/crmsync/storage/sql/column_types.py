"""The types of our columns where the two databases differ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, always returned in UTC.

    PostgreSQL has a type for it. SQLite has none, so there it is ISO text of one width, which sorts as time does.
    """

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(32))
        return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.isoformat(timespec="microseconds") if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


class Moment(TypeDecorator[datetime]):
    """A `UtcDateTime` that takes little room on SQLite, too: there it is the microseconds since 1970."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[int]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.BigInteger())
        return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | int | None:
        if value is None:
            return None
        return microseconds(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: datetime | int | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return _EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value.astimezone(UTC)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """What a `Moment` is on SQLite."""
    return (moment - _EPOCH) // _MICROSECOND


def Id() -> sa.String:  # noqa: N802  (a type)
    """Text of up to 64 characters. PostgreSQL compares it by code point too, whatever the database's language."""
    return sa.String(64).with_variant(postgresql.VARCHAR(64, collation="C"), "postgresql")


def Name() -> sa.Text:  # noqa: N802  (a type)
    """Text of any length that sorts by code point everywhere."""
    return sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def Json() -> sa.JSON:  # noqa: N802  (a type)
    """JSON. Not PostgreSQL's binary form: that refuses the escape of a NUL, which a record's value may hold."""
    return sa.JSON(none_as_null=True)


def Number() -> sa.BigInteger:  # noqa: N802  (a type)
    """A number that the database gives out. SQLite does that for its own INTEGER alone."""
    return sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
