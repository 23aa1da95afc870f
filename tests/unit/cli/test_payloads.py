"""What is said of records that were deleted."""

from __future__ import annotations

import pytest

from crmsync.cli.payloads import link_payload
from crmsync.diff import BLANK_SHADOW
from crmsync.diff.digests import of_gone
from crmsync.engine.tombstones import deleted_in
from crmsync.models.records import Side
from crmsync.models.state import Link, LinkStatus

GONE = of_gone(BLANK_SHADOW)


def link(status: LinkStatus, local: bytes, remote: bytes) -> Link:
    return Link("acme", "Contact", "1", "003", status, local_shadow=local, remote_shadow=remote)


@pytest.mark.parametrize(
    "local, remote, sides",
    [
        (BLANK_SHADOW, GONE, (Side.REMOTE,)),
        (GONE, BLANK_SHADOW, (Side.LOCAL,)),
        (b"", BLANK_SHADOW, (Side.LOCAL,)),
        (b"", b"", tuple(Side)),
    ],
)
def test_a_tombstone_says_which_sides_record_is_gone(local: bytes, remote: bytes, sides: tuple[Side, ...]) -> None:
    tombstone = link(LinkStatus.DELETED, local, remote)
    assert deleted_in(tombstone) == sides
    assert link_payload(tombstone)["deleted_in"] == [side.value for side in sides]


def test_a_record_that_has_no_counterpart_yet_was_deleted_nowhere() -> None:
    assert deleted_in(link(LinkStatus.REJECTED, b"", b"")) == ()
