from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, StatementError

from crmsync.errors import ConcurrentUpdateError, NotFoundError, StorageError
from crmsync.storage.sql.failures import shown, translated

VALUE = "someone@example.com"
URL = sa.make_url("postgresql+psycopg://ann:pw@host/db")


class DriverError(Exception):
    """What a driver raises: it quotes values."""

    def __init__(self, *, sqlite_errorname: str | None = None, sqlstate: str | None = None) -> None:
        super().__init__(f"Key (email)=({VALUE}) is bad")
        self.sqlite_errorname = sqlite_errorname
        self.sqlstate = sqlstate


def translation(error: Exception) -> StorageError:
    with pytest.raises(StorageError) as caught, translated(URL):
        raise error
    assert VALUE not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(
    "code,kind,says",
    [
        ("SQLITE_CONSTRAINT_FOREIGNKEY", NotFoundError, "does not exist"),
        ("SQLITE_CONSTRAINT_UNIQUE", StorageError, "stored or linked twice"),
        ("SQLITE_CONSTRAINT_PRIMARYKEY", StorageError, "stored or linked twice"),
        ("SQLITE_READONLY_DBMOVED", StorageError, "read-only"),
        ("SQLITE_CANTOPEN", StorageError, "directory exists"),
        ("SQLITE_BUSY_SNAPSHOT", StorageError, "stayed locked"),
        ("SQLITE_FULL", StorageError, "disk is full"),
        ("SQLITE_IOERR_WRITE", StorageError, "disk failed"),
        ("SQLITE_CORRUPT", StorageError, "restore it from a backup"),
        ("SQLITE_MISMATCH", StorageError, "SQLITE_MISMATCH"),
        ("23503", NotFoundError, "does not exist"),
        ("23505", StorageError, "stored or linked twice"),
        ("40001", ConcurrentUpdateError, "try again"),
        ("40P01", ConcurrentUpdateError, "try again"),
        ("55P03", ConcurrentUpdateError, "try again"),
        ("25P03", StorageError, "stood still"),
        ("25006", StorageError, "read-only"),
        ("28P01", StorageError, "the user or the password"),
        ("3D000", StorageError, "create it"),
        ("42501", StorageError, "grant the rights"),
        ("53100", StorageError, "disk, memory or connections"),
        ("57P01", StorageError, "try again"),
        ("08006", StorageError, "lost the connection"),
        ("22001", StorageError, "does not fit"),
        ("42P01", StorageError, "42P01"),
    ],
)
def test_a_driver_s_code_becomes_our_own_words(code: str, kind: type[StorageError], says: str) -> None:
    orig = DriverError(sqlite_errorname=code) if code.startswith("SQLITE") else DriverError(sqlstate=code)
    error = translation(DBAPIError("INSERT ...", {"email": VALUE}, orig))
    assert type(error) is kind
    assert says in str(error)


def test_a_driver_s_error_without_a_code_is_not_quoted() -> None:
    assert "DriverError" in str(translation(DBAPIError("SELECT", None, DriverError())))


def test_an_error_while_values_are_prepared_is_not_quoted() -> None:
    assert "ValueError" in str(translation(StatementError(VALUE, "INSERT", {"email": VALUE}, ValueError(VALUE))))
    assert "Unicode" in str(translation(UnicodeEncodeError("utf-8", VALUE, 0, 1, VALUE)))


def test_a_misuse_of_sqlalchemy_keeps_its_cause() -> None:
    with pytest.raises(StorageError, match="ArgumentError") as caught, translated(URL):
        raise ArgumentError("FROM expression expected")
    assert isinstance(caught.value.__cause__, ArgumentError)


def test_errors_of_ours_pass_through() -> None:
    ours = NotFoundError("nothing there")
    with pytest.raises(NotFoundError) as caught, translated(URL):
        raise ours
    assert caught.value is ours


@pytest.mark.parametrize(
    "url,text",
    [
        ("postgresql+psycopg://ann:pw@host/db", "postgresql://ann:***@host/db"),
        (
            "postgresql+psycopg://host/db?password=pw&sslmode=require",
            "postgresql://host/db?password=***&sslmode=require",
        ),
        ("sqlite:////var/state.db", "sqlite:////var/state.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, text: str) -> None:
    assert shown(sa.make_url(url)) == text
