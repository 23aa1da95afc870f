"""The external key of a record that a person links to another one: it leaves the record that it was linked to before.

Two records of the CRM with one key would be one record to whoever finds by it, and a unique field refuses the second.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from crmsync.engine.context import RunContext, shadow_of
from crmsync.engine.work import Work
from crmsync.engine.writing import write
from crmsync.models.problems import Problem
from crmsync.models.records import NO_KEY, Operation, OperationKind, Side
from crmsync.models.state import Link

LINKED_BY_HAND: Final = Problem(
    "", "linked_by_hand", "linked by a person, and not merged yet", "the next run merges the two"
)
_KEPT_ITS_KEY: Final = "the record that it was linked to before still carries its external key"


def is_by_hand(link: Link) -> bool:
    """Whether a person made this pair, and the CRM's record may not carry its key yet."""
    return any(problem.code == LINKED_BY_HAND.code for problem in link.problems)


async def take_keys_back(ctx: RunContext, works: Sequence[Work]) -> None:
    """Clear the keys of pairs that a person made where other records carry them still.

    Only in records that this integration has linked before: a stranger's key may be another application's, and is a
    duplicate that the write of the pair tells of.
    """
    due = {
        work.link.markmail_id: work.link
        for work in works
        if is_by_hand(work.link) and work.remote is not None and work.remote.key != work.link.markmail_id
    }
    if not due or ctx.dry_run or not ctx.remote.limits.external_key:
        return
    found = await ctx.remote.find_by_key(sorted(due), fields=())
    bearers = {record.id: due[record.key] for record in found if record.key in due}
    rows = await ctx.links(Side.REMOTE, [each for each, link in bearers.items() if each != link.crm_id])
    known = [crm_id for crm_id, row in rows.items() if shadow_of(row, Side.REMOTE)]
    clearing = {crm_id: Operation(os.urandom(16).hex(), OperationKind.UPDATE, crm_id, key=NO_KEY) for crm_id in known}
    outcomes = await write(ctx, Side.REMOTE, list(clearing.values()))
    for crm_id, operation in clearing.items():
        outcome = outcomes[operation.op_id]
        ctx.tally.sides[Side.REMOTE].count_outcome(outcome)
        if outcome.error is not None:
            problem = Problem("", "key_kept", f"{_KEPT_ITS_KEY}: {outcome.error.message}", f"clear it in {crm_id!r}")
            ctx.tally.add_problem(bearers[crm_id], problem, side=Side.REMOTE)
