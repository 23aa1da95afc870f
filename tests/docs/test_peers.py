"""The table of other people's clients says what their tests exercise."""

from __future__ import annotations

import json
import re
from importlib import import_module

import pytest

from tests.docs.documents import ROOT
from tests.docs.test_reference import codes, rows, sections
from tests.integration.peers.coverage import PEERS, VERBS, exercised

PIN = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)
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


def test_the_page_on_structure_has_the_versions_that_are_pinned() -> None:
    page = (
        (ROOT / "docs/explanation/structure.md").read_text(encoding="utf-8").partition("## Who checks the emulator")[2]
    )
    told = {(codes(row[0]) or [row[0]])[0].lower(): row[1].partition(",")[0] for row in rows(page)}
    peers = ROOT / "tests/integration/peers"
    pins = dict(PIN.findall("".join(path.read_text(encoding="utf-8") for path in peers.glob("requirements-*.txt"))))
    node = json.loads((peers / "package.json").read_text(encoding="utf-8"))["dependencies"]
    pinned = {name: pins[name] for name in ("simple-salesforce", "aiosalesforce", "cumulusci")}
    assert told == {**pinned, "sf": node["@salesforce/cli"], "@jsforce/jsforce-node": node["@jsforce/jsforce-node"]}
