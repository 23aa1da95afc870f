"""A working day between two syncs: people edit both sides, some of them the same field of the same person."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

_SHARE: Final = 0.03
_CLASHES: Final = 200
_OPT_OUTS: Final = 200
_DELETES: Final = 1000


@attrs.frozen
class Pair:
    """A local row and the contact that is linked with it."""

    local_id: str
    remote_id: str


@attrs.frozen
class Day:
    """What was edited: local fields by local id, CRM fields by CRM id."""

    local: Mapping[str, Mapping[str, Any]] = attrs.field(repr=False)
    remote: Mapping[str, Mapping[str, Any]] = attrs.field(repr=False)
    clashes: tuple[Pair, ...]
    """Both sides edited the same field: the newest wins."""
    apart: tuple[Pair, ...]
    """Both sides edited, in different fields: both edits survive."""
    edited_there: tuple[Pair, ...]
    """All whose company was edited in the CRM, those of ``apart`` among them."""
    opted_out: tuple[Pair, ...]
    """Opted out in the CRM."""
    deleted_here: tuple[Pair, ...]
    deleted_there: tuple[Pair, ...]


def make_day(pairs: Sequence[Pair], seed: int) -> Day:
    """Draw the edits. The same seed and pairs give the same day."""
    chance = random.Random(seed + 1)  # noqa: S311 - made-up edits
    left = chance.sample(list(pairs), len(pairs))

    def draw(count: int) -> tuple[Pair, ...]:
        drawn = tuple(left[:count])
        del left[:count]
        return drawn

    clashes, opted_out = (draw(max(1, len(pairs) // rare)) for rare in (_CLASHES, _OPT_OUTS))
    deleted_here, deleted_there = (draw(max(1, len(pairs) // _DELETES)) for _ in range(2))
    here, there = (draw(max(1, round(len(pairs) * _SHARE))) for _ in range(2))
    apart = here[: max(1, len(here) // 10)]
    local = {pair.local_id: {"phone": _phone(chance)} for pair in (*here, *clashes)}
    remote: dict[str, dict[str, Any]] = {
        pair.remote_id: {"MarkMail_Company__c": _company(chance)} for pair in (*apart, *there)
    }
    remote |= {pair.remote_id: {"Phone": _phone(chance)} for pair in clashes}
    remote |= {pair.remote_id: {"HasOptedOutOfEmail": True} for pair in opted_out}
    return Day(local, remote, clashes, apart, (*apart, *there), opted_out, deleted_here, deleted_there)


def _phone(chance: random.Random) -> str:
    return f"+41 44 {chance.randrange(100, 1000)} {chance.randrange(10, 100)} {chance.randrange(10, 100)}"


def _company(chance: random.Random) -> str:
    name = chance.choice(("Nova", "Müller & Söhne", "Łódź Works", "O'Brien", "北斗"))
    return f"{name} {chance.randrange(100, 1000)}"
