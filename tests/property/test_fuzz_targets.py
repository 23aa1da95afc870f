"""What `nox -s fuzz` plays for a minute holds for its seeds, and for what is near them."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import SEEDS, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds_and_for_broken_ones(name: str) -> None:
    chance = random.Random(7)
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        broken = bytearray(seed)
        broken[chance.randrange(len(broken))] = chance.randrange(256)
        TARGETS[name](bytes(broken))
        TARGETS[name](seed[: chance.randrange(len(seed))])
