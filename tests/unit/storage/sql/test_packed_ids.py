from __future__ import annotations

import contextlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from crmsync.storage.sql.packed_ids import PackedId, pack_id, unpack_id

PLAIN = "bd7425dc-b03d-404b-b0a4-f21e0adc3ebe"
TYPE, DIALECT = PackedId(), sqlite.dialect()

near = st.builds(
    lambda text, at, other: text[:at] + other + text[at + 1 :], st.uuids().map(str), st.integers(0, 36), st.text()
)
ids = st.one_of(st.uuids().map(str), near, st.text())


@given(ids, ids)
def test_equal_ids_have_equal_bytes_and_others_have_others(one: str, other: str) -> None:
    assert unpack_id(pack_id(one)) == one
    assert (pack_id(one) == pack_id(other)) == (one == other)


@given(st.one_of(ids.map(pack_id), st.binary(), st.binary(min_size=16, max_size=16).map(lambda held: b"\xff" + held)))
def test_bytes_are_those_of_one_id_or_of_none_and_name_their_row_either_way(stored: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert pack_id(unpack_id(stored)) == stored
    named = TYPE.process_result_value(stored, DIALECT)
    assert TYPE.process_bind_param(named, DIALECT) == stored


@given(st.uuids(), st.uuids())
def test_a_uuid_takes_17_bytes_and_uuids_go_by_their_text(one: UUID, other: UUID) -> None:
    assert pack_id(str(one)) == b"\xff" + one.bytes
    assert (pack_id(str(one)) < pack_id(str(other))) == (str(one) < str(other))


@given(st.text().filter(lambda text: len(text) != len(PLAIN)), st.text().filter(lambda text: len(text) != len(PLAIN)))
def test_other_ids_go_by_code_point_and_before_uuids(one: str, other: str) -> None:
    assert (pack_id(one) < pack_id(other)) == (one < other)
    assert pack_id(one) < pack_id("00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    "other",
    [
        PLAIN.upper(),
        PLAIN.replace("-", ""),
        PLAIN[:-1] + "٣",
        PLAIN[:-1] + "\n",
        PLAIN[:-2] + "  ",
        PLAIN[:6] + "--" + PLAIN[8:],
        "g" + PLAIN[1:],
        f"{{{PLAIN}}}",
        PLAIN + "\n",
    ],
)
def test_what_is_not_written_as_python_writes_a_uuid_stays_as_it_is(other: str) -> None:
    assert pack_id(other) == other.encode()


@pytest.mark.parametrize("stored", [b"\xff", b"\xff" * 16, b"\xff" * 18, b"a\x80", PLAIN.encode()])
def test_bytes_that_no_id_is_stored_as_are_refused(stored: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (UnicodeDecodeError is one)
        unpack_id(stored)
