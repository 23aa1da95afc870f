"""What a record said last before it was folded into another one: an opt-out that no run has seen.

Where it was linked, the local record of its pair is told first (`last_words`). Where it was not - a lead that nobody
here had - what it said is imposed on the pair of the survivor, once there is one: neither of its two records says so.
Where neither can be written, a problem of the link keeps it, and it is imposed anew whenever that is tried again: the
record that said it may be purged by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from crmsync.diff import SideResult
from crmsync.diff.decisions import ConflictNote, FieldDecision, rule_key
from crmsync.diff.directions import is_blank, writes_over
from crmsync.diff.policies import is_restrictive
from crmsync.engine.consents import consent_rules
from crmsync.engine.context import ASIDE, LIVE, RunContext, shadow_of
from crmsync.engine.trail import MergeTrail
from crmsync.engine.work import Work
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Record, Side
from crmsync.models.state import Acknowledgement, Link
from crmsync.protocols.conversion import FieldRule

_WAITS: Final = "opt_out_waits"
"""The code of the problem that keeps an opt-out; its path is the local field."""
_MESSAGE: Final = "an opt-out of a record that was merged or converted into this one waits to be written"


async def last_words(ctx: RunContext, merged: Sequence[Record]) -> list[Work]:
    """The opt-outs of records that a merge in the CRM folded into others, where the local record does not say so yet.

    The survivor need not say what the loser said, and consent is never widened by that. The work is on the pair as it
    was, of which the remote record shows nothing but the opt-out: so that alone is carried over, and nothing is written
    to the record that is gone. From the local record it reaches the survivor, like one that an earlier run has seen:
    over which a later word may stand already.
    """
    rules = consent_rules(ctx)
    said = _said(rules, merged)
    if not said:
        return []
    links = await ctx.links(Side.REMOTE, list(said))
    live = {loser: link for loser, link in links.items() if link.status in LIVE and link.local_shadow}
    ctx.told_of.update(live)
    locals_ = await ctx.local.get([link.markmail_id for link in live.values()], fields=ctx.fields(Side.LOCAL))
    works = []
    for loser, link in live.items():
        local = locals_.get(link.markmail_id)
        if local is None:
            continue
        news = [rule for rule in rules if _unheard(rule, local) and _is_news(ctx, rule, said[loser], link)]
        if news:
            words = {rule.remote: said[loser][rule.remote] for rule in news}
            heard = tuple(rule.local for rule in news)
            works.append(Work(link, local, Record(loser, words, key=link.markmail_id), heard=heard))
    return works


def _is_news(ctx: RunContext, rule: FieldRule, said: Mapping[str, object], link: Link) -> bool:
    """Whether a record said something in a field that no run has carried over from it."""
    return rule.remote in said and not ctx.merger.held(rule, Side.REMOTE, said[rule.remote], link.remote_shadow)


async def overhear(ctx: RunContext, merged: Sequence[Record], trail: MergeTrail) -> list[str]:
    """Note in ``ctx.heard`` what folded records said that were never linked; the survivors that it is about.

    Those that were, and those that an earlier run heard, have a link, or had one when this page began.
    """
    said = _said(consent_rules(ctx), merged)
    links = await ctx.links(Side.REMOTE, list(said))
    known = {loser for loser, link in links.items() if link.markmail_id != ctx.gone_id(loser)}
    survivors = []
    for loser in dict.fromkeys(record.id for record in merged):
        survivor = trail.survivor(loser)
        earlier = ctx.heard.pop(loser, {})
        words = {} if loser in known or loser in ctx.told_of else said.get(loser, {})
        if words:
            earlier = {**earlier, loser: words}
        if earlier and survivor != loser:
            ctx.heard[survivor] = {**ctx.heard.get(survivor, {}), **earlier}
            survivors.append(survivor)
    return list(dict.fromkeys(survivors))


async def remember_heard(ctx: RunContext, works: Iterable[Work]) -> None:
    """Store who was heard, after these were carried out, so that no later pass takes it for news.

    Tombstones come more than once, and who opts in again meanwhile is not to be opted out by an old one.
    """
    for work in works:
        # Without a merge the two are not a pair yet: there was nobody to tell. What was refused waits with the link.
        if work.remote is not None and work.merge is not None:
            ctx.told_of.update(ctx.heard.pop(work.remote.id, {}))
    links = await ctx.links(Side.REMOTE, list(ctx.told_of))
    gone = {loser: ctx.gone_id(loser) for loser, link in links.items() if link.markmail_id == ctx.gone_id(loser)}
    known = links.keys() - gone.keys()
    rows = tuple(ctx.tombstone_of(ctx.heard_id(loser), loser) for loser in ctx.told_of if loser not in known)
    await ctx.acknowledge(Acknowledgement(links=rows, removed_links=tuple(gone.values())))
    ctx.told_of.intersection_update(known)


def left_behind(ctx: RunContext, row: Link, crm_id: str | None) -> tuple[Link, ...]:
    """What to store in the place of a link that was set aside, when its local record is linked to ``crm_id``.

    The CRM's record of it is gone, and may have been folded into somebody else's: what it said last was for its own
    pair, and is no news for that one, whenever its tombstone comes again. The local record is named as a candidate, by
    which an erasure finds it.
    """
    old = row.crm_id
    if row.status not in ASIDE or old in (None, crm_id) or shadow_of(row, Side.REMOTE) or not consent_rules(ctx):
        return ()
    return (ctx.kept_of(old, row.markmail_id),)


async def ask_of(ctx: RunContext, works: Iterable[Work]) -> list[Work]:
    """Ask what was folded into the remote records of these, where both sides may not say it; those with an answer."""
    asked = to_be_asked(ctx, works)
    merged = await ctx.remote.merged_into(list(asked), fields=ctx.fields(Side.REMOTE))
    trail = MergeTrail()
    trail.add(merged)
    return [asked[survivor] for survivor in await overhear(ctx, merged, trail) if survivor in asked]


def to_be_asked(ctx: RunContext, works: Iterable[Work]) -> dict[str, Work]:
    """Those of which `ask_of` asks, by the ids of their remote records."""
    rules = consent_rules(ctx)
    return {
        work.remote.id: work
        for work in works
        if work.remote is not None
        and work.quarantine is None
        and work.remote.id not in ctx.asked_of
        and any(_imposed(rule, work) is not None for rule in rules)
    }


async def unheard_pairs(ctx: RunContext, survivors: Sequence[str]) -> list[Work]:
    """The linked pairs of these remote records of which a side does not say yet what was heard. The others know."""
    links = await ctx.links(Side.REMOTE, survivors)
    live = {
        key: link for key, link in links.items() if link.status in LIVE and link.local_shadow and link.remote_shadow
    }
    if not live:
        return []
    remotes = await ctx.remote.get(list(live), fields=ctx.fields(Side.REMOTE))
    locals_ = await ctx.local.get([link.markmail_id for link in live.values()], fields=ctx.fields(Side.LOCAL))
    unheard = []
    for key, link in live.items():
        local, remote = locals_.get(link.markmail_id), remotes.get(key)
        if local is None or remote is None:
            continue
        work = Work(link, local, remote)
        if any(_imposed(rule, work) is not None for rule in _heard_rules(ctx, work)):
            unheard.append(work)
        else:
            ctx.told_of.update(ctx.heard.pop(key, {}))
    return unheard


def impose(ctx: RunContext, work: Work) -> None:
    """Let both sides of a merge say what was heard about its remote record, now or when it could not be written."""
    rules = _heard_rules(ctx, work)
    if not rules or work.merge is None:
        return
    imposed = [decision for rule in rules if (decision := _imposed(rule, work)) is not None]
    decisions = {rule_key(decision.rule): decision for decision in imposed}
    work.merge = attrs.evolve(work.merge, decisions={**work.merge.decisions, **decisions})
    work.heard = tuple(dict.fromkeys((*work.heard, *(decision.rule.local for decision in imposed))))


def waiting_words(link: Link) -> tuple[Problem, ...]:
    """The problems of a link that keep what was heard until it takes effect."""
    return tuple(problem for problem in link.problems if problem.code == _WAITS)


def unwritten_words(work: Work, local: SideResult, remote: SideResult) -> tuple[Problem, ...]:
    """A problem for each thing heard that took effect on neither side. From one of them it reaches the other."""
    if work.merge is None:
        return waiting_words(work.link)
    if not work.heard:
        return ()
    lost = [
        decision.rule.local
        for decision in work.merge.decisions.values()
        if decision.rule.local in work.heard and (work.merge.rejected or not _took(decision, local, remote))
    ]
    return tuple(Problem(field, _WAITS, _MESSAGE, "mend what keeps the record from being written") for field in lost)


def _took(decision: FieldDecision, local: SideResult, remote: SideResult) -> bool:
    here = decision.local_write is not MISSING and local.wrote(decision.rule.local)
    return here or (decision.remote_write is not MISSING and remote.wrote(decision.rule.remote))


def _imposed(rule: FieldRule, work: Work) -> FieldDecision | None:
    """The decision by which both sides say the protected value; None if they do, or do not show it, or must not."""
    ours = work.local.fields.get(rule.local, MISSING) if work.local is not None else None
    theirs = work.remote.fields.get(rule.remote, MISSING) if work.remote is not None else None
    local_normal, remote_normal = rule.normal_local(ours), rule.normal_remote(theirs)
    said_here = ours is MISSING or is_restrictive(rule, Side.LOCAL, local_normal)
    said_there = theirs is MISSING or is_restrictive(rule, Side.REMOTE, remote_normal)
    local_write = rule.restrictive if not said_here and writes_over(rule, Side.LOCAL, local_normal) else MISSING
    there = rule.to_remote(rule.restrictive).value
    remote_write = there if not said_there and writes_over(rule, Side.REMOTE, remote_normal) else MISSING
    if local_write is MISSING and remote_write is MISSING:
        return None
    overwritten = work.local is not None and not (is_blank(local_normal) and is_blank(remote_normal))
    note = ConflictNote(rule, rule.policy, ours, theirs) if overwritten else None
    return FieldDecision(rule, local_write=local_write, remote_write=remote_write, conflict=note)


def _heard_rules(ctx: RunContext, work: Work) -> list[FieldRule]:
    said = ctx.heard.get(work.remote.id) if ctx.heard and work.remote is not None else None
    waiting = {problem.path for problem in waiting_words(work.link)} if work.link.problems else set()
    if not said and not waiting:
        return []
    fields = {field for words in (said or {}).values() for field in words}
    return [rule for rule in consent_rules(ctx) if rule.remote in fields or rule.local in waiting]


def _said(rules: Sequence[FieldRule], merged: Iterable[Record]) -> dict[str, Mapping[str, object]]:
    """The opt-outs of tombstones, by their ids."""
    return {record.id: words for record in merged if rules and (words := _restrictive(rules, record))}


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
