"""What a page's plan rests on, where it is made while the page before is still being written.

Looking records up takes calls, which need not wait until the page before is written, if that makes no difference. So
what a plan looks up is kept here, and what is written meanwhile is noted. A plan of which nothing was touched is what
it would have been, had it been made afterwards: it stands. Any other is made again, of what was looked up and not
touched, and the rest is looked up again.

What a side does by itself because of a write (a rule that changes another record) counts like anybody else's edit at
that moment: the next run sees it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias, TypeVar

import attrs

from crmsync.engine.metering import MeteredStore
from crmsync.engine.tally import SideTally
from crmsync.errors import RecordError
from crmsync.models.records import Operation, Outcome, Record, Side
from crmsync.models.state import Acknowledgement, Link

_Found = TypeVar("_Found")
_Answers: TypeAlias = dict[str, list[_Found]]
"""What was found for each value that was asked for."""

_Question: TypeAlias = tuple[Side, Literal["id", "key", "merged into"] | tuple[Literal["value of"], str]]


@attrs.define(slots=True, eq=False)
class Foresight:
    """What was looked up for one page, and what was written since it was begun.

    All of it is looked up with the same fields. Whoever writes tells so once it has an answer: what was on its way
    when the look-up began is then told after it. What was written is looked into once that is asked: of fields, only
    those by whose values something was looked up.
    """

    _records: dict[_Question, _Answers[Record]] = attrs.field(factory=dict)
    _links: dict[Side, _Answers[Link]] = attrs.field(factory=lambda: {side: {} for side in Side})
    _ids: dict[Side, set[str]] = attrs.field(factory=lambda: {side: set() for side in Side})
    _keys: set[str] = attrs.field(factory=set)
    _writes: list[tuple[Side, Operation, Outcome]] = attrs.field(factory=list)
    _values: dict[tuple[Side, str], set[str]] = attrs.field(factory=dict)
    _unsure: set[tuple[Side, str]] = attrs.field(factory=set)

    def note_write(self, side: Side, operation: Operation, outcome: Outcome) -> None:
        """One write, whatever became of it."""
        self._writes.append((side, operation, outcome))

    def note_acknowledged(self, acknowledgement: Acknowledgement) -> None:
        """What the bookkeeping has learnt."""
        self._ids[Side.LOCAL].update(acknowledgement.removed_links)
        self.note_links(acknowledgement.links)

    def note_links(self, links: Iterable[Link]) -> None:
        """Links of which something was stored: themselves, or conflicts, which are looked up with them."""
        for link in links:
            self._ids[Side.LOCAL].add(link.markmail_id)
            if link.crm_id is not None:
                self._ids[Side.REMOTE].add(link.crm_id)

    def stands(self) -> bool:
        """Whether nothing that was looked up was touched; what was is forgotten."""
        self._look_into_writes()
        touched = False
        for question, answers in self._records.items():
            gone = [asked for asked, found in answers.items() if self._is_touched(question, asked, found)]
            touched = touched or bool(gone)
            for asked in gone:
                del answers[asked]
        for side, links in self._links.items():
            apart = [asked for asked, found in links.items() if self._is_relinked(side, asked, found)]
            touched = touched or bool(apart)
            for asked in apart:
                del links[asked]
        return not touched

    def touched(self, side: Side) -> set[str]:
        """The ids of a side's records that were written to, or of whose links something was stored."""
        self._look_into_writes()
        return self._ids[side]

    def _look_into_writes(self) -> None:
        asked = {(side, what[1]) for side, what in self._records if isinstance(what, tuple)}
        for side, operation, outcome in self._writes:
            ids = self._ids[side]
            if operation.id is not None:
                ids.add(operation.id)
            if outcome.id is not None:
                ids.add(outcome.id)
            if operation.key is not None:
                self._keys.add(operation.key)
            for field in asked:
                if field[0] is side and field[1] in operation.fields:
                    self._look_into_field(field, operation, outcome)

    def _look_into_field(self, field: tuple[Side, str], operation: Operation, outcome: Outcome) -> None:
        name = field[1]
        stored = outcome.stored.fields if outcome.stored is not None else {}
        sent = operation.fields[name]
        self._values.setdefault(field, set()).update((_plain(sent), _plain(stored.get(name, sent))))
        if name not in stored and not isinstance(outcome.error, RecordError):
            self._unsure.add(field)

    def _is_touched(self, question: _Question, asked: str, found: Sequence[Record]) -> bool:
        side, what = question
        if any(record.id in self._ids[side] for record in found):
            return True
        if what == "key":
            return asked in self._keys
        if isinstance(what, tuple):
            field = (side, what[1])
            return field in self._unsure or asked in self._values.get(field, ())
        return asked in self._ids[side]

    def _is_relinked(self, side: Side, asked: str, found: Sequence[Link]) -> bool:
        ours, theirs = self._ids[Side.LOCAL], self._ids[Side.REMOTE]
        return asked in self._ids[side] or any(link.markmail_id in ours or link.crm_id in theirs for link in found)

    async def links(
        self, side: Side, ids: Sequence[str], find: Callable[[Sequence[str]], Awaitable[Mapping[str, Link]]]
    ) -> dict[str, Link]:
        """Links by their id on a side."""

        async def look(missing: Sequence[str]) -> Iterable[tuple[str, Link]]:
            return (await find(missing)).items()

        answers = await _ask(self._links[side], ids, look)
        return {asked: found[0] for asked, found in answers.items() if found}

    async def records(
        self,
        question: _Question,
        asked: Sequence[str],
        look: Callable[[Sequence[str]], Awaitable[Iterable[tuple[str, Record]]]],
    ) -> _Answers[Record]:
        """Records by what is asked for; ``look`` asks the side."""
        return await _ask(self._records.setdefault(question, {}), asked, look)


async def _ask(
    known: _Answers[_Found],
    asked: Sequence[str],
    look: Callable[[Sequence[str]], Awaitable[Iterable[tuple[str, _Found]]]],
) -> _Answers[_Found]:
    wanted = list(dict.fromkeys(asked))
    missing = [each for each in wanted if each not in known]
    fresh: _Answers[_Found] = {each: [] for each in missing}
    for each, found in await look(missing) if missing else ():
        if each in fresh:
            fresh[each].append(found)
    known.update(fresh)
    return {each: known[each] for each in wanted}


class ForeseeingStore(MeteredStore):
    """A side whose look-ups are answered by what was looked up already; its time is measured by whoever wraps it."""

    def __init__(self, store: MeteredStore, side: Side, foresight: Foresight) -> None:
        super().__init__(store, SideTally())
        self._side = side
        self._foresight = foresight

    async def get(self, ids: Sequence[str], *, fields: Sequence[str]) -> Mapping[str, Record]:
        """The wrapped store's."""

        async def look(missing: Sequence[str]) -> Iterable[tuple[str, Record]]:
            return (await self._store.get(missing, fields=fields)).items()

        answers = await self._foresight.records((self._side, "id"), ids, look)
        return {asked: found[0] for asked, found in answers.items() if found}

    async def find(self, field: str, values: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's, of those that have one of the values as records are matched by them."""
        spelled: dict[str, list[str]] = {}
        for value in values:
            spelled.setdefault(_plain(value), []).append(value)

        async def look(missing: Sequence[str]) -> Iterable[tuple[str, Record]]:
            wanted = [value for plain in missing for value in spelled[plain]]
            found = await self._store.find(field, wanted, fields=fields)
            return [(_plain(record.fields.get(field)), record) for record in found]

        answers = await self._foresight.records((self._side, ("value of", field)), list(spelled), look)
        return [record for found in answers.values() for record in found]

    async def find_by_key(self, keys: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's."""

        async def look(missing: Sequence[str]) -> Iterable[tuple[str, Record]]:
            return [(record.key or "", record) for record in await self._store.find_by_key(missing, fields=fields)]

        answers = await self._foresight.records((self._side, "key"), keys, look)
        return [record for found in answers.values() for record in found]

    async def merged_into(self, survivors: Sequence[str], *, fields: Sequence[str]) -> Sequence[Record]:
        """The wrapped store's."""

        async def look(missing: Sequence[str]) -> Iterable[tuple[str, Record]]:
            return [(record.merged_into or "", record) for record in await ask(missing, fields=fields)]

        ask = super().merged_into
        answers = await self._foresight.records((self._side, "merged into"), survivors, look)
        return [record for found in answers.values() for record in found]


def _plain(value: object) -> str:
    """A value in the form in which records are matched by it."""
    return str(value).strip().casefold()
