"""The table of other people's clients says what their tests exercise."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.docs.test_reference import rows, sections
from tests.integration.peers.coverage import PEERS, VERBS, exercised

TABLE = dict(sections("emulator.md"))["Other people's clients"]


def test_the_table_has_every_verb_and_every_peer() -> None:
    header = next(line for line in TABLE.splitlines() if line.startswith("|"))
    assert [cell.strip() for cell in header.strip("|").split("|")][1:] == list(PEERS)
    assert [row[0] for row in rows(TABLE)] == list(VERBS)


@pytest.mark.parametrize("peer", PEERS)
def test_the_table_says_what_a_peer_exercises(peer: str) -> None:
    column = 1 + list(PEERS).index(peer)
    told = {row[0] for row in rows(TABLE) if row[column] == "yes"}
    assert told == exercised(import_module(f"tests.integration.peers.{PEERS[peer]}"))
