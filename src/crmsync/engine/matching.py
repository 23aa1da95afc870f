"""First meetings: find the counterpart of records that are not linked yet, or refuse to guess.

In this order: the external key, the stored remote id, the exact normalised e-mail. More than one candidate, or the same
e-mail twice on one side, is never settled by taking "the first": the record is quarantined with its candidates. So is
one whose key is that of somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import anyio
import attrs

from crmsync.engine.context import RunContext, shadow_of
from crmsync.engine.erasing import without_erased
from crmsync.engine.keyindex import KeySet
from crmsync.engine.last_words import left_behind, waiting_words
from crmsync.engine.namesakes import OTHER_PERSON, is_other_person
from crmsync.engine.tasks import single_error
from crmsync.engine.work import Work
from crmsync.models.candidates import Candidate
from crmsync.models.problems import Problem
from crmsync.models.records import Record, Side
from crmsync.models.state import Link, LinkStatus

INDEX_FROM = 200
"""From this many strangers in one page on, a first load reads all keys of the CRM once instead of asking for each."""


@attrs.define(slots=True)
class RemoteIndex:
    """The e-mails and external keys of every remote record, as digests. Saves look-ups in a first load."""

    emails: KeySet = attrs.field(factory=KeySet)
    keys: KeySet = attrs.field(factory=KeySet)


@attrs.define(slots=True)
class Candidates:
    """What was found for a batch of strangers."""

    by_key: Mapping[str, Record]
    """By the stranger's id."""
    by_email: Mapping[str, list[Record]]
    """Records of the other side."""
    twins: Mapping[str, list[Record]]
    """Records of the strangers' own side with the same e-mail, themselves among them."""
    links: Mapping[str, Link]
    """Links of the candidates, by their id on the other side."""


class Matcher:
    """Matches strangers of one run. ``first_load`` True allows to read all remote keys at once."""

    def __init__(self, *, first_load: bool) -> None:
        self._first_load = first_load
        self._index: RemoteIndex | None = None
        self._looked_up: dict[str, list[Record]] | None = None

    def reads_index(self, strangers: int) -> bool:
        """Whether the next match of so many reads all remote keys first."""
        return self._first_load and self._index is None and strangers >= INDEX_FROM

    async def match(
        self, ctx: RunContext, side: Side, strangers: Sequence[Record], placeholders: Mapping[str, Link]
    ) -> list[Work]:
        """One piece of work for each stranger: linked to its counterpart, to be created, or quarantined.

        Who was erased is left out.

        ``placeholders`` are the strangers' own stored links (rejected or quarantined earlier), by their id.
        """
        strangers = await without_erased(ctx, side, strangers)
        if self.reads_index(len(strangers)):
            await self._read_index(ctx, side, strangers)
        found = await self._candidates(ctx, side, strangers)
        taken: set[str] = set()
        return [_decide(ctx, side, record, found, taken, placeholders.get(record.id)) for record in strangers]

    async def look_up(self, ctx: RunContext, emails: Iterable[str]) -> None:
        """Ask the CRM for these e-mails once, for the matches of both sides that follow. `forget` ends that."""
        wanted = set(emails)
        found = await self._by_email(ctx, Side.REMOTE, wanted, at_least=1) if wanted else {}
        self._looked_up = {email: found.get(email, []) for email in wanted}

    def forget(self) -> None:
        """Ask afresh from now on."""
        self._looked_up = None

    async def _read_index(self, ctx: RunContext, side: Side, strangers: Sequence[Record]) -> None:
        """Read all remote keys; meanwhile the local side is asked what it will be asked, if that is remembered."""
        emails = {e for r in strangers if (e := ctx.email(side, r))}
        spelled = {e for r in strangers if (e := ctx.spelled_email(side, r))}
        with single_error():
            async with anyio.create_task_group() as group:
                if side is Side.LOCAL and ctx.foresight is not None:
                    group.start_soon(partial(self._by_email, ctx, side, emails, at_least=2, spelled=spelled))
                index = await _read_index(ctx)
        self._index = index

    async def _candidates(self, ctx: RunContext, side: Side, strangers: Sequence[Record]) -> Candidates:
        other = side.other
        by_key = await self._by_key(ctx, side, strangers)
        emails = {e for r in strangers if r.id not in by_key and (e := ctx.email(side, r))}
        spelled = {e for r in strangers if (e := ctx.spelled_email(side, r)) and e.casefold() in emails}
        by_email = await self._by_email(ctx, other, emails, at_least=1, spelled=spelled)
        twins = await self._by_email(ctx, side, emails, at_least=2, spelled=spelled)
        ids = {r.id for r in by_key.values()} | {r.id for records in by_email.values() for r in records}
        return Candidates(by_key, by_email, twins, await ctx.links(other, sorted(ids)))

    async def _by_key(self, ctx: RunContext, side: Side, strangers: Sequence[Record]) -> dict[str, Record]:
        other = side.other
        fields = ctx.fields(other)
        stored_id = ctx.rule.match.local_remote_id
        if side is Side.REMOTE:
            keys = {r.key: r.id for r in strangers if r.key}
            found = {keys[r.id]: r for r in (await ctx.local.get(list(keys), fields=fields)).values()}
            if stored_id:
                rest = [r.id for r in strangers if r.id not in found]
                for record in await ctx.local.find(stored_id, rest, fields=fields):
                    found.setdefault(str(record.fields.get(stored_id)), record)
            return found
        ids = [r.id for r in strangers if self._index is None or r.id in self._index.keys]
        found = {r.key: r for r in await ctx.remote.find_by_key(ids, fields=fields) if r.key}
        if stored_id:
            wanted = {str(v): r.id for r in strangers if r.id not in found and (v := r.fields.get(stored_id))}
            for record in (await ctx.remote.get(list(wanted), fields=fields)).values():
                if record.id in wanted:
                    found[wanted[record.id]] = record
        return found

    async def _by_email(
        self, ctx: RunContext, side: Side, emails: Iterable[str], *, at_least: int, spelled: Iterable[str] = ()
    ) -> dict[str, list[Record]]:
        name = ctx.rule.match.local_email if side is Side.LOCAL else ctx.rule.match.remote_email
        wanted = sorted(emails)
        if not name:
            return {}
        if side is Side.REMOTE and self._looked_up is not None and self._looked_up.keys() >= set(wanted):
            return {email: self._looked_up[email] for email in wanted}
        if side is Side.REMOTE and self._index is not None:
            wanted = [email for email in wanted if self._index.emails.count(email) >= at_least]
        asked = set(wanted)
        wanted = sorted(asked.union(value for value in spelled if value.casefold() in asked))
        records = list(await ctx.store(side).find(name, wanted, fields=ctx.fields(side)))
        planned = ctx.readdressed[side]
        if others := {each for each, email in planned.items() if email in asked}.difference(r.id for r in records):
            records += (await ctx.store(side).get(sorted(others), fields=ctx.fields(side))).values()
        found: dict[str, list[Record]] = {}
        for record in records:
            email = planned.get(record.id, ctx.email(side, record))
            if email and (side, record.id) not in ctx.going:
                found.setdefault(email, []).append(record)
        return {email: list(ctx.store(side).foremost(records)) for email, records in found.items()}


async def _read_index(ctx: RunContext) -> RemoteIndex:
    index = RemoteIndex()
    email = ctx.rule.match.remote_email
    cursor, more = None, True
    while more:
        page = await ctx.remote.changes(cursor, fields=(email,) if email else ())
        for record in page.records:
            if record.key:
                index.keys.add(record.key)
            if address := ctx.email(Side.REMOTE, record):
                index.emails.add(address)
        cursor, more = page.cursor, page.has_more
    return index


def _decide(
    ctx: RunContext, side: Side, record: Record, found: Candidates, taken: set[str], placeholder: Link | None
) -> Work:
    candidate = found.by_key.get(record.id)
    email = ctx.email(side, record)
    if candidate is None and email:
        others = found.by_email.get(email, [])
        twins = [r for r in found.twins.get(email, []) if r.id != record.id]
        if twins or len(others) > 1:
            problem = _ambiguous(side, others=len(others), twins=len(twins))
            candidates = (*_candidates(side.other, others), *_candidates(side, twins))
            return _quarantined(ctx, side, record, problem, candidates, placeholder)
        candidate = others[0] if others else None
    if candidate is None:
        return _pair(ctx, side, record, None, None, placeholder)
    link = found.links.get(candidate.id)
    if candidate.id in taken or (link is not None and not _available(link, side, record.id)):
        problem = Problem(
            "",
            "already_linked",
            "its counterpart is linked to another record",
            "merge the duplicates, or delete one",
        )
        return _quarantined(ctx, side, record, problem, _candidates(side.other, [candidate]), placeholder)
    if is_other_person(ctx, side, record, candidate):
        if placeholder is None:
            ctx.overwritten.refuse(ctx.rule.match.local_email, record.id if side is Side.LOCAL else candidate.id)
        return _quarantined(ctx, side, record, OTHER_PERSON, _candidates(side.other, [candidate]), placeholder)
    taken.add(candidate.id)
    return _pair(ctx, side, record, candidate, link, placeholder)


def _pair(
    ctx: RunContext, side: Side, record: Record, candidate: Record | None, stored: Link | None, placeholder: Link | None
) -> Work:
    local, remote = (record, candidate) if side is Side.LOCAL else (candidate, record)
    markmail_id = local.id if local else ctx.twin_id(record.id)
    link = ctx.new_link(markmail_id, remote.id if remote else None, side)
    old = [row for row in (stored, placeholder) if row is not None]
    if not old:
        return Work(link, local, remote, fresh=True)
    link = attrs.evolve(
        link,
        attempts=max((row.attempts for row in old), default=0),
        failing_since=min((row.failing_since for row in old if row.failing_since), default=None),
        problems=tuple(dict.fromkeys(problem for row in old for problem in waiting_words(row))),
    )
    replaces = tuple(dict.fromkeys(row.markmail_id for row in old if row.markmail_id != markmail_id))
    left = tuple(each for row in old for each in left_behind(ctx, row, link.crm_id))
    return Work(link, local, remote, fresh=True, replaces=replaces, left=left)


def _quarantined(
    ctx: RunContext,
    side: Side,
    record: Record,
    problem: Problem,
    candidates: Sequence[Candidate],
    placeholder: Link | None,
) -> Work:
    work = _pair(ctx, side, record, None, None, placeholder)
    work.quarantine = problem
    work.link = attrs.evolve(work.link, candidates=tuple(candidates))
    return work


def _candidates(side: Side, records: Sequence[Record]) -> tuple[Candidate, ...]:
    """In an order of their own: a side finds them in that of their last edit, say, and no link is to change by that."""
    return tuple(Candidate(id=record_id, side=side) for record_id in sorted({record.id for record in records}))


def _available(link: Link, side: Side, stranger_id: str) -> bool:
    """Whether a candidate may be linked anew: nothing of the stranger's side is attached to it now."""
    if link.status is LinkStatus.UNLINKED or not shadow_of(link, side):
        return True
    return (link.markmail_id if side is Side.LOCAL else link.crm_id) == stranger_id


def _ambiguous(side: Side, *, others: int, twins: int) -> Problem:
    name = {Side.LOCAL: "the local side", Side.REMOTE: "the CRM"}
    if twins:
        message = f"{twins} more record(s) of {name[side]} have the same e-mail"
        return Problem("", "duplicate", message, "merge the duplicates, or change an e-mail")
    message = f"{others} records of {name[side.other]} have this e-mail"
    return Problem("", "ambiguous", message, "merge the candidates, or write the external key to the right one")
