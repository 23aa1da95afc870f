"""What single records look like for people."""

from __future__ import annotations

import datetime as dt

import pytest
from rich.console import Console

from crmsync.cli.record_views import rejects_table
from crmsync.models.inbox import Reject
from crmsync.models.records import Side
from crmsync.models.state import LinkStatus

SINCE = dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "status, next_try",
    [
        (LinkStatus.REJECTED, "next try in the next run"),
        (LinkStatus.IGNORED, "next try when it or the mapping changes"),
    ],
)
def test_a_listed_reject_tells_how_often_it_was_tried_since_when_and_when_again(
    status: LinkStatus, next_try: str
) -> None:
    reject = Reject(
        integration_id="acme",
        entity_type="Contact",
        markmail_id="17",
        crm_id=None,
        status=status,
        born=Side.LOCAL,
        linked=False,
        attempts=4,
        failing_since=SINCE,
    )
    shown = Console(width=120)
    with shown.capture() as captured:
        shown.print(rejects_table([reject]))
    assert f"4 attempt(s), since 2026-03-01 09:30:00 UTC, {next_try}" in captured.get()
