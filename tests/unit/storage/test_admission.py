from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from crmsync.errors import StorageError
from crmsync.models.state import Acknowledgement, Lease
from crmsync.storage import admission
from crmsync.testing.repository_subject import ABROAD, CONTACT, NOW, OURS, TTL, conflict, entry, link, log

LEASE = Lease(OURS, CONTACT, "me", 1, NOW + TTL)
SECRET = "someone@example.com"


@pytest.mark.parametrize("value", [Decimal(1), float("inf"), {SECRET}, {"a": [SECRET.encode()]}, NOW])
def test_a_value_without_a_json_form_is_refused_and_not_shown(value: object) -> None:
    with pytest.raises(StorageError, match="JSON") as caught:
        admission.to_json(value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


def test_json_is_ascii_so_that_every_database_takes_it() -> None:
    text = admission.to_json({"é\x00\ud800": "😀"})
    assert text.isascii()
    assert "\x00" not in text
    assert admission.json_copy({"é\x00\ud800": ("😀",)}) == {"é\x00\ud800": ["😀"]}


def test_a_time_without_a_zone_is_refused() -> None:
    naive = NOW.replace(tzinfo=None)
    for stored in (link(1, next_attempt_at=naive), link(1, created_at=naive), link(1, failing_since=naive)):
        with pytest.raises(StorageError, match="time zone"):
            admission.settled_links(LEASE, Acknowledgement(links=(stored,)), NOW)
    for name in ("created_at", "local_changed_at", "remote_changed_at", "decided_at", "erased_at"):
        changes: dict[str, Any] = {name: naive}
        dated = conflict(1, **changes)
        with pytest.raises(StorageError, match="time zone"):
            admission.settled_conflicts(LEASE, Acknowledgement(conflicts=(dated,)), NOW)
    with pytest.raises(StorageError, match="time zone"):
        admission.settled_journal(LEASE, [entry("1", started_at=naive)])
    with pytest.raises(StorageError, match="time zone"):
        admission.settled_log(log(1, completed_at=naive), NOW)


def test_times_are_settled_in_utc() -> None:
    settled = admission.settled_log(log(1, started_at=NOW.astimezone(ABROAD)), NOW)
    assert settled.started_at == NOW
    assert settled.started_at.tzinfo is UTC
    assert settled.created_at == NOW
    assert isinstance(settled.completed_at, datetime)


@pytest.mark.parametrize("name", ["markmail_id", "crm_id"])
def test_an_id_of_more_than_64_characters_is_refused(name: str) -> None:
    changes: dict[str, Any] = {name: "x" * 65}
    with pytest.raises(StorageError, match="65 characters"):
        admission.settled_links(LEASE, Acknowledgement(links=(link(1, **changes),)), NOW)
    with pytest.raises(StorageError, match="65 characters"):
        admission.settled_journal(LEASE, [entry("1", **changes)])


def test_64_characters_are_not_too_many() -> None:
    page = Acknowledgement(links=(link(1, markmail_id="é" * 64, crm_id="😀" * 64),))
    assert set(admission.settled_links(LEASE, page, NOW)) == {"é" * 64}
