"""What a record said last before it was folded into another one: an opt-out that no run has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crmsync.diff.policies import is_restrictive
from crmsync.engine.context import LIVE, RunContext
from crmsync.engine.work import Work
from crmsync.models.mappings import ConflictPolicy
from crmsync.models.records import MISSING, Record, Side
from crmsync.protocols.conversion import FieldRule


async def last_words(ctx: RunContext, merged: Sequence[Record]) -> list[Work]:
    """The opt-outs of records that a merge in the CRM folded into others, where the local record does not say so yet.

    The survivor need not say what the loser said, and consent is never widened by that. The work is on the pair as it
    was, of which the remote record shows nothing but the opt-out: so that alone is carried over, and nothing is written
    to the record that is gone. From the local record it reaches the survivor, like one that an earlier run has seen.
    """
    rules = [rule for rule in ctx.rule.rules if rule.policy is ConflictPolicy.MOST_RESTRICTIVE]
    said = {record.id: words for record in merged if (words := _restrictive(rules, record))}
    if not said:
        return []
    links = await ctx.links(Side.REMOTE, list(said))
    live = {loser: link for loser, link in links.items() if link.status in LIVE and link.local_shadow}
    locals_ = await ctx.local.get([link.markmail_id for link in live.values()], fields=ctx.fields(Side.LOCAL))
    works = []
    for loser, link in live.items():
        local = locals_.get(link.markmail_id)
        if local is not None and any(_unheard(rule, local) for rule in rules if rule.remote in said[loser]):
            works.append(Work(link, local, Record(loser, said[loser])))
    return works


def _restrictive(rules: Sequence[FieldRule], record: Record) -> Mapping[str, object]:
    return {
        rule.remote: value
        for rule in rules
        if (value := record.fields.get(rule.remote, MISSING)) is not MISSING
        and is_restrictive(rule, Side.REMOTE, rule.normal_remote(value))
    }


def _unheard(rule: FieldRule, local: Record) -> bool:
    value = local.fields.get(rule.local, MISSING)
    return value is not MISSING and not is_restrictive(rule, Side.LOCAL, rule.normal_local(value))
