"""The CSV of bulk jobs: every value arrives, or the row is sent another way."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import UnexpectedResponseError
from crmsync.providers.salesforce.bulk.csv_text import (
    CsvReader,
    carries,
    cell,
    columns_of,
    encode,
    gathered,
    most_bytes,
)
from crmsync.providers.salesforce.values import encode_rows

TEXTS = (
    "#N/A",
    "#n/a",
    "NA",
    "",
    " ",
    "null",
    '"',
    '""',
    "a,b",
    "line\nfeed",
    "carriage\rreturn",
    "crlf\r\nend",
    "\x00",
)
MORE_TEXTS = ("=cmd", "'", " spaced ", "\ufeffbom", "👩‍💻", "مرحبا", "\ud800", "\u2028", "tab\tbed", "\x1c", "\x85")
TRICKY = st.sampled_from((*TEXTS, *MORE_TEXTS, "x" * 32_000, "x" * 32_001))
VALUES = st.one_of(
    TRICKY,
    st.text(),
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False, places=4),
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["LastName", "Title", "Notes__c", "N__c"]), VALUES), min_size=1)


def read(data: bytes, *cuts: int) -> list[dict[str, str]]:
    """Rows of CSV that arrives in pieces."""
    reader, rows, start = CsvReader(), list[list[str]](), 0
    for cut in sorted(cut % (len(data) + 1) for cut in cuts):
        rows += reader.feed(data[start:cut])
        start = cut
    rows += reader.feed(data[start:]) + reader.close()
    return [dict(zip(reader.header, cells, strict=True)) for cells in reader.picked(rows, reader.header)]


@given(rows=ROWS, cuts=st.lists(st.integers(min_value=0, max_value=100_000), max_size=5))
def test_every_row_arrives_as_it_was_or_is_sent_another_way(rows: list[dict[str, object]], cuts: list[int]) -> None:
    keyed: list[dict[str, object]] = [{"Key__c": f"key-{n}", **row} for n, row in enumerate(rows)]
    sent = [row for row in keyed if carries(row)]
    columns = columns_of(sent, "Key__c")
    data = b"".join(gathered(encode(sent, columns)))
    assert len(data) <= most_bytes(sent, columns)
    expected = [{name: cell(row[name]) if name in row else "" for name in columns} for row in sent]
    assert read(data, *cuts) == expected
    for row in keyed:
        if row not in sent:
            assert json.loads(encode_rows([row]))["records"][0].keys() == row.keys()


@given(values=st.dictionaries(st.sampled_from(["A__c", "B__c"]), VALUES))
def test_no_text_that_is_carried_looks_like_a_cleared_or_untouched_value(values: dict[str, object]) -> None:
    for name, value in values.items():
        if isinstance(value, str) and value and carries({name: value}):
            assert cell(value) == value
            assert value.strip()
            assert value != "#N/A"


@pytest.mark.parametrize("text", ["#N/A", " #n/a ", "  ", "a\x00b", "a\rb", "\ud800", "x" * 32_001, "\x07", "\ufeffx"])
def test_what_csv_cannot_say_is_not_carried(text: str) -> None:
    assert not carries({"Title": text})


@pytest.mark.parametrize("text", ["NA", "null", "a\nb", "a\r\nb", '"', "tab\t", " x ", "=1+1", "x" * 32_000])
def test_what_csv_can_say_is_carried(text: str) -> None:
    assert carries({"Title": text})


def test_a_record_of_more_than_400_000_characters_is_not_carried() -> None:
    assert not carries({f"F{n}__c": "x" * 31_000 for n in range(13)})


# --- case 26: "NA" or "" in a Bulk CSV becomes null, or null becomes ""


def test_case_26_na_null_and_untouched_are_three_different_cells() -> None:
    rows: list[dict[str, object]] = [
        {"Id": "1", "Title": "NA"},
        {"Id": "2", "Title": None},
        {"Id": "3"},
        {"Id": "4", "Title": ""},
    ]
    assert b"".join(encode(rows, ("Id", "Title"))) == b"Id,Title\n1,NA\n2,#N/A\n3,\n4,#N/A\n"


def test_values_are_written_as_the_api_takes_them() -> None:
    values = {"Id": "1", "B": True, "D": Decimal("1E+3"), "N": 5, "T": "2026-01-02T03:04:05.000Z", "Q": 'say "hi"'}
    [_, line] = encode([values], columns_of([values], "Id"))
    assert line == b'1,true,1000,5,2026-01-02T03:04:05.000Z,"say ""hi"""\n'


def test_the_key_comes_first_and_every_field_of_some_row_follows() -> None:
    assert columns_of([{"A": 1, "Id": 1}, {"B": 1, "Id": 2}], "Id") == ("Id", "A", "B")


# --- case 29: a bulk result page break inside a quoted line feed


def test_case_29_a_cut_anywhere_even_inside_a_quoted_line_feed_changes_nothing() -> None:
    data = '"sf__Id","sf__Error",Title\r\n"003","X:é:--","a\r\n""b"",\nc"\n"004","","👩‍💻"'.encode()
    whole = read(data)
    assert whole[0] == {"sf__Id": "003", "sf__Error": "X:é:--", "Title": 'a\r\n"b",\nc'}
    assert all(read(data, first, second) == whole for first in range(len(data)) for second in (first + 1, first + 7))


@pytest.mark.parametrize("data", [b'a,b\n1,"2', b"a,b\n1\n", b'a\n"x"y\n', b"a\n\xff\n"])
def test_csv_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(UnexpectedResponseError):
        read(data)


def test_nothing_at_all_holds_no_rows() -> None:
    assert read(b"") == []
