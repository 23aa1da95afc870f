"""CSV files with bad rows, and files that cannot be used: what is told, and that nothing is lost or made up."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from crmsync.errors import AccessDeniedError, ConfigurationError, RejectedError, SchemaChangedError, UnavailableError
from crmsync.models.records import OutcomeStatus
from crmsync.protocols.records import SupportsProblems
from crmsync.storage.csv_records import open_records
from tests.unit.storage.csv_people import create, delete, scan, update, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


# --- bad rows


BAD = (
    "id,name,email\n"
    "1,Ann,ann@example.com\n"
    "2,Bob\n"
    "3,Cy,cy@example.com,extra\n"
    "4,Dee,dee@example.com\n"
    "4,Dan,dan@example.com\n"
    ",Eve,eve@example.com\n"
    '5,"Flo"x,flo@example.com\n'
    "6,Gus,gus@example.com\n"
)


async def test_bad_rows_are_reported_by_line_and_left_out_and_kept_as_they_are(path: Path) -> None:
    path.write_text(BAD)
    async with open_records(path=path) as store:
        page = await scan(store)
        assert isinstance(store, SupportsProblems)
        assert [record.id for record in page.records] == ["1", "6"]
        assert not page.complete_scan
        assert [(problem.path, problem.code) for problem in store.problems()] == [
            ("line 3", "ragged_row"),
            ("line 4", "ragged_row"),
            ("line 5", "duplicate_key"),
            ("line 6", "duplicate_key"),
            ("line 7", "empty_key"),
            ("line 8", "broken_row"),
        ]
        assert all(problem.remedy for problem in store.problems())
        assert not any(name in str(store.problems()) for name in ("Bob", "Dee", "Eve", "Flo", "example.com"))
        await store.write([update("1", name="Zed"), create("7", name="Hal")])
    assert path.read_text() == BAD.replace("Ann", "Zed") + "7,Hal,\n"


async def test_case_20_a_bad_row_is_never_taken_for_deleted(path: Path) -> None:
    path.write_text(BAD)
    outcomes = await write(path, update("2", name="x"), update("4", name="x"), create("4", name="x"), delete("5"))
    assert [outcome.status for outcome in outcomes] == [OutcomeStatus.FAILED] * 4
    assert {outcome.error.code for outcome in outcomes if isinstance(outcome.error, RejectedError)} == {"bad_row"}
    assert path.read_text() == BAD


async def test_a_mended_file_is_whole_again(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n1,Bob\n")
    async with open_records(path=path) as store:
        first = await scan(store)
        path.write_text("id,name\n1,Ann\n2,Bob\n")
        second = await scan(store, first.cursor)
        assert store.problems() == ()
    assert [record.id for record in second.records] == ["1", "2"]
    assert second.complete_scan


async def test_no_column_is_added_while_a_row_has_a_cell_too_many(path: Path) -> None:
    content = "id,name\n1,Ann\n2,Bob,Ulm\n"
    path.write_text(content)
    [outcome] = await write(path, update("1", city="Bonn"))
    assert isinstance(outcome.error, RejectedError)
    assert path.read_text() == content


async def test_an_open_quote_swallows_only_its_own_line(path: Path) -> None:
    path.write_text('id,name\n1,"Ann\n' + "".join(f"{number},Person\n" for number in range(2, 50)))
    async with open_records(path=path) as store:
        assert len((await scan(store)).records) == 48
        assert [problem.path for problem in store.problems()] == ["line 2"]


async def refusal(path: Path, **options: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        async with open_records(path=path, **options):  # type: ignore[arg-type]
            pass
    return str(refused.value)


# --- files that cannot be used


async def test_a_missing_file_is_one_clear_message(path: Path) -> None:
    assert await refusal(path) == f"{path}: there is no such file"


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "folder" in await refusal(tmp_path)


async def test_a_wrong_encoding_names_the_line_and_what_to_do_and_no_value(path: Path) -> None:
    path.write_bytes(b"id,name\n1,Ann\n2,Zo\xeb Smith\n")
    message = await refusal(path)
    assert "line 3 is not utf-8" in message
    assert "cp1252" in message
    assert "Smith" not in message


async def test_a_missing_key_column_suggests_the_one_that_is_near(path: Path) -> None:
    path.write_text("CustomerId,Name\n1,Ann\n")
    assert "'CustomerId'" in await refusal(path, key="customerid")
    assert "the first line must name the columns" in await refusal(path)


async def test_a_file_without_a_header_is_refused_without_showing_its_first_row(path: Path) -> None:
    path.write_text("ann@example.com,Ann\nbob@example.com,Bob\n")
    assert "ann" not in (await refusal(path)).replace(str(path), "").lower()


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
async def test_an_empty_file_is_refused(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    assert "must name the columns" in await refusal(path)


async def test_a_column_named_twice_is_refused(path: Path) -> None:
    path.write_text("id,name,name\n")
    assert "'name' is named twice" in await refusal(path)


@pytest.mark.parametrize(
    "options, told",
    [
        ({"encoding": "klingon"}, "klingon"),
        ({"delimiter": "::"}, "one character"),
        ({"types": {"score": "number"}}, "'score'"),
        ({"separator": ""}, "separator"),
    ],
)
async def test_an_unusable_setting_is_refused_by_name(path: Path, options: dict[str, object], told: str) -> None:
    path.write_text("id,score\n")
    assert told in await refusal(path, **options)


async def test_a_file_that_vanishes_is_unavailable_and_one_that_loses_its_key_has_changed(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n")
    async with open_records(path=path) as store:
        path.write_text("nr,name\n1,Ann\n")
        with pytest.raises(SchemaChangedError):
            await scan(store)
        path.unlink()
        with pytest.raises(UnavailableError):
            await scan(store)
        with pytest.raises(UnavailableError):
            await store.write([update("1", name="x")])


async def test_a_file_that_may_not_be_written_is_not_replaced(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n")
    path.chmod(0o444)
    if os.access(path, os.W_OK):  # the super user may write everything
        assert (await write(path, update("1", name="Zed")))[0].ok
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
        return
    with pytest.raises(AccessDeniedError):
        await write(path, update("1", name="Zed"))
    assert path.read_text() == "id,name\n1,Ann\n"
