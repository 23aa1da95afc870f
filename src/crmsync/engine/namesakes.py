"""A key that two applications gave to two people.

Where two applications keep their ids in one key field of the CRM, one's person 7 is found as the other's. The key does
not tell that, and nothing is remembered of records that meet for the first time, so what they hold has to.
"""

from __future__ import annotations

from typing import Final

from crmsync.diff import holds_value
from crmsync.engine.context import RunContext
from crmsync.models.problems import Problem
from crmsync.models.records import Record, Side

OTHER_PERSON: Final = Problem(
    "",
    "other_person",
    "the record with the same external key has another e-mail, and little else in common",
    "if they are one person, link the two; if another application keeps its ids in the key field, give this integration"
    " a key field of its own",
)


def is_other_person(ctx: RunContext, side: Side, record: Record, candidate: Record) -> bool:
    """Whether two records that meet by the external key are probably not the same person.

    Their e-mails differ, and of their other values that are blank on neither side fewer than half are alike; yes and no
    say nothing. Somebody whose address changed while the links were lost (a bookkeeping that begins anew, say) still
    has the same name. Who allows overwriting by number has looked at the plan, and goes by the keys.
    """
    local, remote = (record, candidate) if side is Side.LOCAL else (candidate, record)
    emails = ctx.email(Side.LOCAL, local), ctx.email(Side.REMOTE, remote)
    if remote.key != local.id or emails[0] == emails[1] or None in emails or ctx.options.allow_overwrites is not None:
        return False
    likeness = []
    for rule in ctx.rule.rules:
        values = local.fields.get(rule.local), remote.fields.get(rule.remote)
        if all(map(holds_value, values)) and not any(isinstance(value, bool) for value in values):
            likeness.append(ctx.merger.resembles(rule, local, remote))
            if rule.local == ctx.rule.match.local_email and likeness.pop():
                return False
    return not any(likeness) or 2 * sum(likeness) < len(likeness)
