"""Whatever somebody does to the audit log in the database is found."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from crmsync import CRMSync, ObjectMapping, Vault, two_way
from crmsync.testing.world import FakeClock

pytestmark = pytest.mark.anyio

KEY = Vault.generate_key()
MAPPING = ObjectMapping(fields=(two_way("email", "Email", field_type="email"),))


@pytest.fixture
def anyio_backend() -> str:
    """What is found does not depend on the event loop."""
    return "asyncio"


TRIGGERS = ("crm_audit_log_no_update", "crm_audit_log_no_delete")


def tamper(path: Path, *statements: str) -> None:
    """As somebody who owns the database can: without the triggers."""
    with closing(sqlite3.connect(path)) as connection:
        for trigger in TRIGGERS:
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


_BACKDATED = "UPDATE crm_audit_log SET at = '2020-01-01T00:00:00.000000+00:00' WHERE sequence = 3"
_COPIED = """INSERT INTO crm_audit_log
    SELECT integration_id, 6, at, actor, origin, action, entity_type, result, details, key_id, mac
    FROM crm_audit_log WHERE integration_id = 'acme' AND sequence = 5"""
LOG = "crm_audit_log WHERE integration_id = 'acme' AND sequence"
TAMPERING: dict[str, tuple[list[str], set[tuple[str, int]]]] = {
    "changed": (["UPDATE crm_audit_log SET actor = 'eve' WHERE sequence = 3"], {("changed", 3)}),
    "backdated": (
        ["UPDATE crm_audit_log SET at = '2020-01-01T00:00:00.000000+00:00' WHERE sequence = 3"],
        {("changed", 3)},
    ),
    "changed details": (["UPDATE crm_audit_log SET details = '{}' WHERE sequence = 2"], {("changed", 2)}),
    "removed": ([f"DELETE FROM {LOG} = 3"], {("missing", 3)}),
    "removed and closed up": (
        [
            f"DELETE FROM {LOG} = 3",
            "UPDATE crm_audit_log SET sequence = 3 WHERE sequence = 4",
            "UPDATE crm_audit_log SET sequence = 4 WHERE sequence = 5",
        ],
        {("changed", 3), ("changed", 4), ("cut_off", 5)},
    ),
    "removed at the beginning": ([f"DELETE FROM {LOG} = 1"], {("missing", 1)}),
    "swapped": (
        [
            "UPDATE crm_audit_log SET sequence = 9 WHERE sequence = 3",
            "UPDATE crm_audit_log SET sequence = 3 WHERE sequence = 4",
            "UPDATE crm_audit_log SET sequence = 4 WHERE sequence = 9",
        ],
        {("changed", 3), ("changed", 4), ("changed", 5)},
    ),
    "cut off": ([f"DELETE FROM {LOG} > 3"], {("cut_off", 4)}),
    "all gone": ([f"DELETE FROM {LOG} > 0"], {("cut_off", 1)}),
    "without its head": (["DELETE FROM crm_audit_heads WHERE integration_id = 'acme'"], {("head", 0)}),
    "added": (
        [
            _COPIED,
            "UPDATE crm_audit_heads SET sequence = 6 WHERE integration_id = 'acme'",
        ],
        {("changed", 6)},
    ),
    "moved to another chain": (
        [
            "UPDATE crm_audit_log SET integration_id = 'other' WHERE integration_id = 'acme'",
            "UPDATE crm_audit_heads SET integration_id = 'other' WHERE integration_id = 'acme'",
        ],
        {("changed", n) for n in range(1, 6)},
    ),
}


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[tuple[CRMSync, Path]]:
    """Five entries of one integration."""
    path = tmp_path / "state.db"
    async with CRMSync.open(f"sqlite:///{path}", vault=Vault.from_key(KEY), clock=FakeClock()) as crm:
        await crm.add_integration(
            "acme", provider="memory", settings={}, credentials={"token": "t"}, mappings={"Contact": MAPPING}
        )
        for _ in range(3):
            await crm.pause("acme")
        yield crm, path


@pytest.mark.parametrize("done", TAMPERING)
async def test_what_was_done_to_the_log_is_found(written: tuple[CRMSync, Path], done: str) -> None:
    crm, path = written
    statements, expected = TAMPERING[done]
    tamper(path, *statements)
    found = await crm.verify_audit()
    assert {(fault.code, fault.sequence) for fault in found.faults} == expected
    assert not found.ok


async def test_what_was_cut_off_with_its_head_is_found_by_an_anchor(written: tuple[CRMSync, Path]) -> None:
    crm, path = written
    anchor = await crm.audit_anchor()
    mac = (await crm.audit_log("acme"))[1].mac
    tamper(
        path,
        f"DELETE FROM {LOG} > 2",
        f"UPDATE crm_audit_heads SET sequence = 2, mac = '{mac}' WHERE integration_id = 'acme'",
    )
    assert (await crm.verify_audit()).ok, "nothing in the database itself tells"
    found = await crm.verify_audit(anchor)
    assert [(fault.code, fault.sequence) for fault in found.faults] == [("cut_off", 3)]
    for _ in range(3):
        await crm.resume("acme")
    found = await crm.verify_audit(anchor)
    assert [(fault.code, fault.sequence) for fault in found.faults] == [("replaced", 5)]
    tamper(path, f"DELETE FROM {LOG} > 0", "DELETE FROM crm_audit_heads WHERE integration_id = 'acme'")
    assert [fault.code for fault in (await crm.verify_audit(anchor)).faults] == ["cut_off"]


async def test_an_anchor_that_was_changed_is_refused(written: tuple[CRMSync, Path]) -> None:
    crm, _ = written
    anchor = await crm.audit_anchor()
    sequence, mac = anchor.heads["acme"]
    for changed in (
        anchor.model_copy(update={"heads": {"acme": (sequence - 1, mac)}}),
        anchor.model_copy(update={"made_at": anchor.made_at + timedelta(days=1)}),
        anchor.model_copy(update={"key_id": 7}),
    ):
        codes = {fault.code for fault in (await crm.verify_audit(changed)).faults}
        assert codes & {"anchor_changed", "unverifiable"}
