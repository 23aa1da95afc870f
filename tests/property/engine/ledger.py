"""What the engine wrote at the sites, as the sites saw it: what the history has to account for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from crmsync.models.events import RunStarted, SyncEvent
from crmsync.models.history import RecordChange, untagged
from crmsync.models.records import Operation, OperationKind, Outcome, Side
from tests.property.engine.incidents import PassingOn

Fields = Mapping[str, object]
Held = Mapping[str, Fields]


@attrs.define
class Effect:
    """One write as a site saw it. ``fields`` has the values before and after of those that changed.

    ``certain``: the run that made it ended well enough to say so. ``known``: its history can tell of it.
    """

    remote: str
    run_id: str
    side: Side
    kind: OperationKind
    record: str
    fields: dict[str, tuple[object, object]]
    left: Fields
    certain: bool = False
    known: bool = True

    @property
    def key(self) -> tuple[str, str, Side, str]:
        """Where the history tells of it."""
        return self.remote, self.run_id, self.side, self.record


class Ledger:
    """All effects, in order. It hears which run is at work as an observer.

    ``overtaken`` are the runs during which somebody edited.
    """

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.overtaken: set[str] = set()
        self.run_id = ""

    def notify(self, event: SyncEvent) -> None:
        """A run begins."""
        if isinstance(event, RunStarted):
            self.run_id = event.run_id

    @contextmanager
    def told_of(self, run_id: str) -> Iterator[None]:
        """What is noted meanwhile is the work of another run than the one at work, if one is given."""
        at_work, self.run_id = self.run_id, run_id or self.run_id
        try:
            yield
        finally:
            self.run_id = at_work

    def watch(
        self,
        store: Any,
        snapshot: Callable[[], Held],
        remote: str,
        side: Side,
        hidden: Callable[[], Collection[str]] = frozenset,
    ) -> Any:
        """The store, with its writes noted. ``snapshot`` shows what it holds, ``hidden`` what no run may read of it.

        What a record held that is deleted cannot be told of the hidden fields.
        """

        def note(before: Held, after: Held) -> None:
            unread = hidden()
            for record in {**before, **after}:
                old, new = before.get(record), after.get(record)
                if old is not None and new is None:
                    old = {name: value for name, value in old.items() if name not in unread}
                self.note(remote, side, record, old, new)

        return _Watched(store, snapshot, note)

    def note(
        self,
        remote: str,
        side: Side,
        record: str,
        old: Fields | None,
        new: Fields | None,
        *,
        born: Fields | None = None,
    ) -> None:
        """The run at work wrote a record. ``born`` is what a record has that was created without it."""
        if old is None and new is not None and born is not None:
            new = {name: value for name, value in new.items() if name not in born or value != born[name]}
        if old != new:
            self.effects.append(_effect(remote, self.run_id, side, record, old, new))

    def settle(self, remote: str, *, well: bool) -> None:
        """A run with a CRM has ended."""
        for effect in self.effects:
            if effect.remote == remote and well:
                effect.certain = True

    def look(
        self,
        remote: str,
        held: Mapping[Side, Held],
        hidden: Mapping[Side, set[str]],
        *,
        keyed: bool,
        undeleted: Collection[str] = (),
    ) -> None:
        """A run with a CRM is about to begin: of what an earlier one left uncertain it can know what still shows.

        Without keys (``keyed`` False) a record that was created there is found by its e-mail, if that is nobody else's,
        and if the local record that has it is still there; and by its last writer, who is another one of the
        ``undeleted``.
        """
        for effect in self.effects:
            if effect.remote == remote and not effect.certain and effect.known:
                there = held[effect.side]
                found = keyed or effect.side is Side.LOCAL or _is_found(effect, there, held[Side.LOCAL], undeleted)
                now = there.get(effect.record)
                effect.known = found and _shows(effect, now, hidden[effect.side])
                if effect.kind is OperationKind.UPDATE and now is not None:
                    effect.fields = _still(effect, now, hidden[effect.side])

    def forget(self, remote: str, records: Collection[str], told: Collection[tuple[str, str, Side, str]]) -> None:
        """The history was made to forget these records, and the rows with these keys."""
        self.effects = [
            effect
            for effect in self.effects
            if effect.remote != remote or not (effect.record in records or effect.key in told)
        ]


def _effect(remote: str, run_id: str, side: Side, record: str, old: Fields | None, new: Fields | None) -> Effect:
    names = {**(old or {}), **(new or {})}
    values = {name: ((old or {}).get(name), (new or {}).get(name)) for name in names}
    changed = {name: pair for name, pair in values.items() if pair[0] != pair[1]}
    kind = OperationKind.CREATE if old is None else OperationKind.UPDATE if new is not None else OperationKind.DELETE
    return Effect(remote, run_id, side, kind, record, changed, dict(new or {}))


def _is_found(effect: Effect, there: Held, ours: Held, undeleted: Collection[str]) -> bool:
    if effect.kind is not OperationKind.CREATE:
        return True
    if effect.record in undeleted:
        return False
    email = effect.left.get("Email")
    known = any(fields.get("email") == email for fields in ours.values())
    return known and not any(
        fields.get("Email") == email for record, fields in there.items() if record != effect.record
    )


def _shows(effect: Effect, now: Fields | None, hidden: set[str]) -> bool:
    if effect.kind is OperationKind.DELETE:
        return now is None
    if now is None:
        return False
    if effect.kind is OperationKind.CREATE:
        # Without a key it is found by who wrote it last.
        return now == effect.left
    return any(name not in hidden for name in _still(effect, now, hidden))


def _still(effect: Effect, now: Fields, hidden: set[str]) -> dict[str, tuple[object, object]]:
    """The fields of a write that nobody has written again since; of hidden ones nobody can say."""
    return {name: pair for name, pair in effect.fields.items() if name in hidden or now.get(name) == pair[1]}


def untold(
    effect: Effect, changes: Sequence[RecordChange], lossy: Callable[[str, object], object], *, late: bool = False
) -> list[str]:
    """The fields of an effect that these changes do not tell with their values before and after.

    ``lossy`` is what the site makes of a value that is sent. ``late``: what was there before may not have shown yet.
    """
    told: dict[str, list[tuple[object, object]]] = {}
    for change in changes:
        for one in change.fields:
            after = plain(untagged(one.after))
            told.setdefault(one.field, []).append((plain(untagged(one.before)), plain(lossy(one.field, after))))
    return [
        f"{name} {before!r} to {after!r}"
        for name, (before, after) in effect.fields.items()
        if not any(plain(lossy(name, after)) == to and (late or plain(before) == was) for was, to in told.get(name, []))
    ]


def plain(value: object) -> object:
    """A value, without what no normal form has: the order of a set, and that an empty one is no blank."""
    return (frozenset(value) or None) if isinstance(value, tuple) else value


class _Watched(PassingOn):
    def __init__(self, store: Any, snapshot: Callable[[], Held], note: Callable[[Held, Held], None]) -> None:
        self._store, self._snapshot, self._note = store, snapshot, note
        super().__init__(store)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._store, attribute)

    async def write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        before = self._snapshot()
        outcomes: Sequence[Outcome] = await self._store.write(operations)
        self._note(before, self._snapshot())
        return outcomes
