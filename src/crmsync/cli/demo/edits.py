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
    """What was edited: local fields by local id, CRM fields by CRM id. ``clashes`` are among both."""

    local: Mapping[str, Mapping[str, Any]] = attrs.field(repr=False)
    remote: Mapping[str, Mapping[str, Any]] = attrs.field(repr=False)
    deleted: tuple[Pair, ...]
    opted_out: tuple[Pair, ...]
    clashes: tuple[Pair, ...]
    apart: tuple[Pair, ...]
    """Edited on both sides in different fields: both edits survive."""


def make_day(pairs: Sequence[Pair], seed: int) -> Day:
    """Draw the edits. The same seed and pairs give the same day."""
    chance = random.Random(seed + 1)  # noqa: S311 - made-up edits
    some = max(2, round(len(pairs) * _SHARE))
    clashes, deletes, opt_outs = (max(1, len(pairs) // rare) for rare in (_CLASHES, _DELETES, _OPT_OUTS))
    drawn = chance.sample(list(pairs), min(len(pairs), 2 * some + clashes + deletes + opt_outs))
    clashing, rest = drawn[:clashes], drawn[clashes:]
    deleted, rest = rest[:deletes], rest[deletes:]
    opting, rest = rest[:opt_outs], rest[opt_outs:]
    here, there = rest[:some], rest[some:]
    apart = here[: max(1, some // 10)]
    local: dict[str, dict[str, Any]] = {pair.local_id: {"phone": _phone(chance)} for pair in (*here, *clashing)}
    remote: dict[str, dict[str, Any]] = {
        pair.remote_id: {"MarkMail_Company__c": _company(chance)} for pair in (*there, *apart)
    }
    remote.update({pair.remote_id: {"Phone": _phone(chance)} for pair in clashing})
    remote.update({pair.remote_id: {"HasOptedOutOfEmail": True} for pair in opting})
    return Day(local, remote, tuple(deleted), tuple(opting), tuple(clashing), tuple(apart))


def _phone(chance: random.Random) -> str:
    return f"+41 44 {chance.randrange(100, 1000)} {chance.randrange(10, 100)} {chance.randrange(10, 100)}"


def _company(chance: random.Random) -> str:
    name = chance.choice(("Nova", "Müller & Söhne", "Łódź Works", "O'Brien", "北斗"))
    return f"{name} {chance.randrange(100, 1000)}"
