"""Which objects of which integrations a command is about, and which record of them."""

from __future__ import annotations

from crmsync.cli.exits import UsageProblemError
from crmsync.cli.options import Selection
from crmsync.cli.session import Session, Target
from crmsync.errors import NotFoundError
from crmsync.models.state import Link


async def known_targets(session: Session, selection: Selection) -> list[Target]:
    """The selected objects of integrations that the bookkeeping has met."""
    known = {section.id for section in await session.known(selection.integration)}
    return [target for target in session.targets(selection) if target.integration.id in known]


def one_target(session: Session, selection: Selection) -> Target:
    """The only selected object.

    :raises UsageProblemError: there are several.
    """
    found = list(session.targets(selection))
    if len(found) > 1:
        names = ", ".join(f"{one.integration.id} {one.object_name}" for one in found)
        raise UsageProblemError(f"say which object is meant with --object and -i (there are: {names})")
    return found[0]


async def find_links(session: Session, selection: Selection, record_id: str) -> list[Link]:
    """What each selected object knows of a record, named by either side's id.

    :raises NotFoundError: none knows it.
    """
    found = []
    for target in await known_targets(session, selection):
        try:
            found.append(await session.crm.find_link(target.integration.id, target.object_name, record_id))
        except NotFoundError:
            continue
    if not found:
        raise NotFoundError(f"no record {record_id!r} is known; `crmsync links list` shows those that are")
    return found
