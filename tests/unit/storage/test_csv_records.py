"""A CSV file as a record store: what is read, what stays untouched, what is written and scanned."""

from __future__ import annotations

import csv
import io
import stat
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.errors import ConversionError, RejectedError, UnavailableError
from crmsync.models.records import OutcomeStatus
from crmsync.models.schema import FieldType
from crmsync.storage.csv_edit import CellCodec
from crmsync.storage.csv_file import CsvFormat, parse_csv
from crmsync.storage.csv_records import CsvRecordStore, open_records
from crmsync.storage.whole_file import WholeFile
from tests.unit.storage.csv_people import create, delete, scan, update, write

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


# --- what stays as it is


@pytest.mark.parametrize(
    "content",
    [
        b'id,name,note\r\n1,Ann,"x, y"\r\n2,Bob,\r\n',
        b'"id";"name";"note"\n"1";"Ann";"x"\n"2";"Bob";""\n',
        b"\xef\xbb\xbfid\tname\tnote\n1\tAnn\tx\n2\tBob\t\n",
        b"id,name,note\n\n1,Ann,x\n\n2,Bob,y",
        b'name,id,note\n"Ann",1,"multi\nline"\n Bob ,2, padded \n',
        "id,name,note\n1,Łukasz,x\n2,Bob,😀\n".encode("utf-16"),
        b"id|name|note\r1|Ann|x\r2|Bob|y\r",
    ],
)
async def test_an_update_changes_one_cell_and_not_another_byte(path: Path, content: bytes) -> None:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    path.write_bytes(content)
    [outcome] = await write(path, update("2", name="Zed"), encoding=encoding)
    assert outcome.status is OutcomeStatus.UPDATED
    text = content.decode(encoding)
    expected = text.replace(" Bob ", "Zed").replace("Bob", "Zed")
    assert path.read_bytes().decode(encoding) == expected
    assert path.read_bytes()[:3] == content[:3]


async def test_writing_what_is_there_already_leaves_the_file_alone(path: Path) -> None:
    path.write_text("id,active,score\n1,Yes,007\n")
    before = path.stat().st_mtime_ns, path.stat().st_ino
    types = {"active": "boolean", "score": "integer"}
    [outcome] = await write(path, update("1", active=True, score=7), types=types)
    assert outcome.ok
    assert path.read_text() == "id,active,score\n1,Yes,007\n"
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


async def test_creates_append_and_deletes_drop_a_row(path: Path) -> None:
    path.write_bytes(b"id,name\r\n1,Ann\r\n2,Bob")
    await write(path, create("3", name="Cy, jr."), delete("1"))
    assert path.read_bytes() == b'id,name\r\n2,Bob\r\n3,"Cy, jr."\r\n'


async def test_new_rows_follow_the_quoting_of_the_file(path: Path) -> None:
    path.write_text('"id","name"\n"1","Ann"\n')
    await write(path, create("2", name="Bob"))
    assert path.read_text() == '"id","name"\n"1","Ann"\n"2","Bob"\n'


async def test_a_create_without_an_id_gets_one(path: Path) -> None:
    path.write_text("id,name\n")
    [outcome] = await write(path, create(None, name="Ann"))
    assert outcome.id is not None
    assert path.read_text() == f"id,name\n{outcome.id},Ann\n"


async def test_a_field_without_a_column_gets_one_at_the_end(path: Path) -> None:
    path.write_bytes(b'id,name\r\n1,Ann\r\n\r\n2,"B, ob"\r\n')
    outcomes = await write(path, update("2", phone="5", city="Ulm"), create("3", phone="6"))
    assert [outcome.ok for outcome in outcomes] == [True, True]
    assert path.read_bytes() == b'id,name,phone,city\r\n1,Ann,,\r\n\r\n2,"B, ob",5,Ulm\r\n3,,6,\r\n'
    assert outcomes[0].stored is not None
    assert outcomes[0].stored.fields == {"id": "2", "name": "B, ob", "phone": "5", "city": "Ulm"}


async def test_a_column_added_to_a_fully_quoted_file_is_quoted(path: Path) -> None:
    path.write_text('"id","name"\n"1","Ann"\n"2","Bob"\n')
    await write(path, update("1", city="Ulm"))
    assert path.read_text() == '"id","name","city"\n"1","Ann","Ulm"\n"2","Bob",""\n'


async def test_an_added_column_changes_no_other_records_version(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n2,Bob\n")
    async with open_records(path=path) as store:
        before = (await store.get(["2"], fields=["name"]))["2"].version
        await store.write([update("1", city="Ulm")])
        assert (await store.get(["2"], fields=["name"]))["2"].version == before


async def test_a_missing_column_is_missing_and_an_empty_cell_is_none(path: Path) -> None:
    path.write_text("id,name,email\n1,Ann,\n")
    async with open_records(path=path) as store:
        [record] = (await scan(store, None, "name", "email", "phone")).records
    assert record.fields == {"name": "Ann", "email": None}


async def test_the_files_mode_is_kept_and_a_link_to_it_stays_a_link(path: Path, tmp_path: Path) -> None:
    path.write_text("id,name\n1,Ann\n")
    path.chmod(0o640)
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    await write(link, update("1", name="Zed"))
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.read_text() == "id,name\n1,Zed\n"


async def test_no_temporary_file_stays_behind(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n")
    await write(path, update("1", name="Zed"))
    assert [entry.name for entry in path.parent.iterdir()] == ["people.csv"]


# --- values


async def test_declared_types_are_parsed_and_what_does_not_fit_stays_text(path: Path) -> None:
    path.write_text(
        "id,active,score,rate,born,seen,tags\n"
        "1,No,-5,1.50,2024-02-29,2024-01-01T10:00:00+02:00, a ;b;;\n"
        "2,maybe,5.0,1e3,2023-02-29,2024-01-01T10:00:00,\n"
    )
    types: Mapping[str, str] = {
        "active": "boolean",
        "score": "integer",
        "rate": "decimal",
        "born": "date",
        "seen": "datetime",
        "tags": "tags",
    }
    async with open_records(path=path, types=types) as store:
        good, bad = (await scan(store, None, *types)).records
    assert good.fields == {
        "active": False,
        "score": -5,
        "rate": Decimal("1.50"),
        "born": date(2024, 2, 29),
        "seen": datetime(2024, 1, 1, 8, tzinfo=UTC),
        "tags": ("a", "b"),
    }
    assert bad.fields == {
        "active": "maybe",
        "score": "5.0",
        "rate": "1e3",
        "born": "2023-02-29",
        "seen": "2024-01-01T10:00:00",
        "tags": None,
    }


@pytest.mark.parametrize("old, new", [("yes", "no"), ("TRUE", "FALSE"), ("Y", "N"), ("1", "0"), ("On", "Off")])
async def test_truth_is_written_in_the_words_of_the_column(path: Path, old: str, new: str) -> None:
    path.write_text(f"id,active\n1,{old}\n2,\n")
    await write(path, update("1", active=False), update("2", active=False), types={"active": "boolean"})
    assert path.read_text() == f"id,active\n1,{new}\n2,{new}\n"


async def test_a_formula_is_data_and_is_guarded_only_when_asked(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n")
    await write(path, update("1", name="=1+1"))
    assert path.read_text() == "id,name\n1,=1+1\n"
    async with open_records(path=path, escape_formulas=True) as store:
        await store.write([update("1", name="=2+2")])
        assert path.read_text() == "id,name\n1,'=2+2\n"
        assert (await store.get(["1"], fields=["name"]))["1"].fields["name"] == "=2+2"


async def test_nul_line_ends_and_quotes_survive_in_a_cell(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n")
    text = 'a\0b\r\nc\rd "e" \u2028 ;,\t'
    async with open_records(path=path) as store:
        [outcome] = await store.write([update("1", name=text)])
        assert outcome.stored is not None
        assert outcome.stored.fields["name"] == text
    async with open_records(path=path) as store:
        assert (await store.get(["1"], fields=["name"]))["1"].fields["name"] == text


async def test_a_set_element_that_holds_the_separator_is_refused(path: Path) -> None:
    path.write_text("id,tags\n1,a\n")
    [outcome] = await write(path, update("1", tags=("x;y",)), types={"tags": FieldType.TAGS})
    assert isinstance(outcome.error, ConversionError)
    assert outcome.error.field == "tags"
    assert path.read_text() == "id,tags\n1,a\n"


async def test_a_character_that_the_encoding_lacks_is_refused_without_harm_to_others(path: Path) -> None:
    path.write_bytes("id,name\n1,Zoë\n2,Bob\n".encode("cp1252"))
    outcomes = await write(path, update("1", name="Łukasz"), update("2", name="Zoë"), encoding="cp1252")
    assert [outcome.ok for outcome in outcomes] == [False, True]
    assert isinstance(outcomes[0].error, ConversionError)
    assert outcomes[0].error.code == "encoding"
    assert "Łukasz" not in str(outcomes[0].error)
    assert path.read_bytes() == "id,name\n1,Zoë\n2,Zoë\n".encode("cp1252")


async def test_a_rows_key_never_changes(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n")
    same, other = await write(path, update("1", id="1", name="Zed"), update("1", id="9"))
    assert same.ok
    assert isinstance(other.error, RejectedError)
    assert path.read_text() == "id,name\n1,Zed\n"


@settings(max_examples=40, deadline=None)
@given(
    table=st.lists(
        st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=3, max_size=3), min_size=1, max_size=5
    ),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    value=st.text(st.characters(codec="utf-8"), max_size=12),
)
async def test_any_file_reads_back_what_was_written_and_keeps_the_rest(
    table: list[list[str]], delimiter: str, quoting: int, end: str, value: str
) -> None:
    if quoting == csv.QUOTE_MINIMAL:
        # Before Python 3.13 the csv module leaves a lone carriage return unquoted: such a file says something else.
        table = [[cell.replace("\r", "") for cell in row] for row in table]
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow(["id", "a", "b", "c"])
    writer.writerows([str(number), *cells] for number, cells in enumerate(table))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.csv"
        path.write_bytes(out.getvalue().encode())
        async with open_records(path=path) as store:
            assert store.problems() == ()
            [outcome] = await store.write([update("0", b=value)])
            assert outcome.ok
        async with open_records(path=path) as store:
            records = await store.get([str(number) for number in range(len(table))], fields=["a", "b", "c"])
            table[0][1] = value
            got = [[record.fields[name] or "" for name in "abc"] for record in records.values()]
            assert got == table


# --- scans, cursors, other programs


async def test_an_unchanged_file_is_one_empty_page(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n2,Bob\n")
    async with open_records(path=path) as store:
        first = await scan(store)
        assert first.complete_scan
        again = await scan(store, first.cursor)
        assert (again.records, again.has_more, again.complete_scan, again.cursor) == ((), False, False, first.cursor)
    async with open_records(path=path) as store:
        assert (await scan(store, first.cursor)).records == ()
    async with open_records(path=path, types={"name": "email"}) as store:
        assert len((await scan(store, first.cursor)).records) == 2


async def test_case_20_rows_that_come_or_go_during_a_scan_make_it_incomplete(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n2,Bob\n3,Cy\n4,Dee\n")
    async with open_records(path=path) as store:
        first = await store.changes(None, fields=["name"], limit=2)
        path.write_text("id,name\n0,New\n2,Bob\n3,Cy\n4,Dee\n")
        last = await store.changes(first.cursor, fields=["name"], limit=2)
        assert (last.has_more, last.complete_scan) == (False, False)
        assert len((await scan(store, last.cursor)).records) == 4


async def test_our_own_updates_during_a_scan_leave_it_complete_and_are_read_by_the_next(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n2,Bob\n3,Cy\n")
    async with open_records(path=path) as store:
        first = await store.changes(None, fields=["name"], limit=2)
        await store.write([update("1", name="Zed")])
        last = await store.changes(first.cursor, fields=["name"], limit=2)
        assert last.complete_scan
        assert len((await scan(store, last.cursor)).records) == 3


class SavedMeanwhile(WholeFile):
    """Another program saves the file between our reading and our writing, ``saves`` times."""

    def __init__(self, path: Path, saves: int) -> None:
        super().__init__(path)
        self.saves = saves

    def replace(self, content: bytes, digest: str) -> bool:
        if self.saves:
            self.saves -= 1
            self.path.write_text(self.path.read_text().replace("Bob", "Ben") + f"{10 + self.saves},Other\n")
        return super().replace(content, digest)


async def test_a_save_by_another_program_between_read_and_write_is_kept(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n2,Bob\n")
    store = CsvRecordStore(SavedMeanwhile(path, 2), CsvFormat(), CellCodec(), "people")
    outcomes = await store.write([update("1", name="Zed"), create("3", name="Cy")])
    assert [outcome.ok for outcome in outcomes] == [True, True]
    assert path.read_text() == "id,name\n1,Zed\n2,Ben\n11,Other\n10,Other\n3,Cy\n"


async def test_a_file_that_is_saved_all_the_time_is_unavailable_and_unchanged(path: Path) -> None:
    path.write_text("id,name\n1,Ann\n")
    store = CsvRecordStore(SavedMeanwhile(path, 1000), CsvFormat(), CellCodec(), "people")
    with pytest.raises(UnavailableError):
        await store.write([update("1", name="Zed")])
    assert "Zed" not in path.read_text()
    assert [entry.name for entry in path.parent.iterdir()] == ["people.csv"]


async def test_find_matches_whole_cells_and_ignores_case_for_emails_only(path: Path) -> None:
    path.write_text("id,name,E-Mail,Contact\n1,Ann,Ann@Example.com,X@y.org\n2,ann,,\n")
    async with open_records(path=path, types={"Contact": "email"}) as store:
        found = {
            (field, value): [record.id for record in await store.find(field, [value], fields=[])]
            for field, value in [
                ("name", "Ann"),
                ("E-Mail", "ann@example.COM"),
                ("Contact", "x@Y.org"),
                ("E-Mail", ""),
                ("nowhere", "Ann"),
            ]
        }
    assert list(found.values()) == [["1"], ["1"], ["1"], [], []]


async def test_describe_tells_columns_types_and_the_key(path: Path) -> None:
    path.write_text("id,email,tags,\n")
    async with open_records(path=path, types={"tags": "tags"}, separator="|") as store:
        schema = await store.describe()
    assert schema.open
    assert [(field.name, field.type) for field in schema.fields] == [
        ("id", FieldType.ID),
        ("email", FieldType.EMAIL),
        ("tags", FieldType.TAGS),
    ]
    assert schema.fields[2].separator == "|"


def test_the_delimiter_is_the_one_that_shows_the_key() -> None:
    document = parse_csv(b"a;id;b,c\n1;2;3\n", "", CsvFormat())
    assert document.columns == ["a", "id", "b,c"]
