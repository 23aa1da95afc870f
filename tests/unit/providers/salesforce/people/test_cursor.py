"""The position in the changes of both objects."""

from __future__ import annotations

import pytest

from crmsync.errors import CursorExpiredError
from crmsync.providers.salesforce.cursor import Cursor
from crmsync.providers.salesforce.people.cursor import PeopleCursor, Turn


@pytest.mark.parametrize(
    "cursor",
    [PeopleCursor(), PeopleCursor("l", None, Turn.CONTACTS, scanned=True), PeopleCursor("l", '{"v":1}', Turn.LEADS)],
)
def test_a_cursor_is_read_as_it_was_written(cursor: PeopleCursor) -> None:
    assert PeopleCursor.decode(cursor.encode()) == cursor


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"people":2}', '{"people":1}', Cursor().encode()])
def test_a_cursor_of_another_kind_is_too_old(text: str) -> None:
    with pytest.raises(CursorExpiredError):
        PeopleCursor.decode(text)
