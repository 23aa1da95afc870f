"""What a command printed, and which part of it is the answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmsync.providers.salesforce.sf.printed import answer_in

ANSWER = {"status": 0, "result": {"records": [{"Name": "{\n}"}, {}], "url": "a{b}c"}, "warnings": []}
NOTICES = (
    b" \xe2\x80\xba   Warning: @salesforce/cli update available from 2.150.6 to 2.151.0.\n",
    b"(node:4711) [DEP0040] DeprecationWarning: The `punycode` module is deprecated.\n",
    b"{not JSON at all}\n",
    b'{"level":"info","message":"a plugin\'s own"}\n',
    b'{"status":"ok"}\n',
    b"[]\n",
    b"\xff\xfe caf\xe9 in another code page\r\n",
    b"\n",
    b"{\n",
)


@pytest.mark.parametrize("indent", [None, 2])
@given(before=st.lists(st.sampled_from(NOTICES)), after=st.lists(st.sampled_from(NOTICES)))
def test_lines_before_and_after_it_do_not_hide_an_answer(
    indent: int | None, before: list[bytes], after: list[bytes]
) -> None:
    printed = json.dumps(ANSWER, indent=indent, ensure_ascii=False).encode()
    assert answer_in(b"".join([*before, printed, b"\n", *after])) == ANSWER


def test_an_answer_alone_needs_no_status() -> None:
    assert answer_in(b'{"name": "FailedRecordDetailsError"}\n') == {"name": "FailedRecordDetailsError"}
    assert answer_in(b'a notice\n{"name": "FailedRecordDetailsError"}\n') is None


def test_of_two_answers_neither_is_taken() -> None:
    one, other = json.dumps(ANSWER).encode(), b'{"status": 0, "result": {"of": "a command that a hook ran"}}'
    assert answer_in(one + b"\n" + other) is None
    assert answer_in(b"a notice\n" + other + b"\n" + one) is None


@pytest.mark.parametrize(
    "printed",
    [
        b"",
        b"a notice\n",
        b"[]",
        b'a notice {"status": 0}\n',
        b'a notice\n  {"status": 0}\n',
        b'a notice\n{"status": 0, "result": [\n',
        b'a notice\n{"status": 0, "result": "caf\xe9"}\n',
        b'a notice\n{"status": true}\n',
    ],
)
def test_what_is_no_whole_answer_at_the_beginning_of_a_line_is_none(printed: bytes) -> None:
    assert answer_in(printed) is None
