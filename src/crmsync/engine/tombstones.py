"""Tombstones: what a link keeps of a record that is gone, and what that says when the record comes back."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from crmsync.diff.digests import of_gone, of_returned
from crmsync.engine.context import RunContext, shadow_of
from crmsync.models.records import Record, Side
from crmsync.models.state import Link, LinkStatus


def tombstone(link: Link, gone: Collection[Side]) -> Link:
    """The link of a pair of which these sides' records are gone.

    While the other one lives, the shadow of the gone one is kept as such. Of two that are gone nothing is.
    """
    local, remote = link.local_shadow, link.remote_shadow
    if len(gone) > 1:
        local = remote = b""
    elif Side.LOCAL in gone:
        local = of_gone(local)
    elif Side.REMOTE in gone:
        remote = of_gone(remote)
    return attrs.evolve(link, status=LinkStatus.DELETED, local_shadow=local, remote_shadow=remote)


def with_returned(link: Link, side: Side) -> Link:
    """The link with this side's shadow as it was before its record was taken for gone."""
    if side is Side.LOCAL:
        return attrs.evolve(link, local_shadow=of_returned(link.local_shadow))
    return attrs.evolve(link, remote_shadow=of_returned(link.remote_shadow))


def deleted_in(link: Link) -> tuple[Side, ...]:
    """The sides whose record a tombstone says is gone; none of any other link."""
    return tuple(side for side in Side if link.status is LinkStatus.DELETED and not shadow_of(link, side))


def came_back(link: Link, side: Side) -> bool:
    """Whether a record of this side, if it is there, is one that was deleted, and whose counterpart was not."""
    return link.status is LinkStatus.DELETED and not shadow_of(link, side) and bool(shadow_of(link, side.other))


def revived(ctx: RunContext, link: Link, side: Side, record: Record) -> Link:
    """The link of a pair whose record came back, with the shadows of before: what it holds since then is no edit.

    A CRM gives an id once: whatever else the record holds was edited. A local id may be given again (a row of a file
    comes and goes), so there it is another record's own, and meets its counterpart for the first time. So does all of a
    pair whose tombstone kept nothing, as those of earlier versions did.
    """
    local, remote = of_returned(link.local_shadow), of_returned(link.remote_shadow)
    if not (local and remote):
        return attrs.evolve(link, local_shadow=b"", remote_shadow=b"")
    if side is Side.LOCAL:
        local = ctx.merger.succeeded(side, record, local, {})
    return attrs.evolve(link, local_shadow=local, remote_shadow=remote)
