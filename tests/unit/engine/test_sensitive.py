"""Values of a sensitive field: they reach the other side, and are found nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.models.history import MASK, is_masked
from crmsync.models.mappings import ConflictPolicy, FieldMapping, ObjectMapping, two_way
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.models.state import ConflictStatus
from crmsync.registry import STORAGE, Registry
from crmsync.testing.world import World, world

pytestmark = pytest.mark.anyio

SECRETS = ("hunter2", "letmein", "swordfish", "opensesame")
EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)


def mapping(policy: ConflictPolicy = ConflictPolicy.LOCAL_WINS, **options: object) -> ObjectMapping:
    secret = FieldMapping.model_validate(
        {"markmail_field": "word", "crm_field": "Word__c", "policy": policy, "sensitive": True, **options}
    )
    return ObjectMapping(fields=(EMAIL, two_way("name", "Name"), secret), history_days=30)


async def conflict(w: World) -> tuple[str, str]:
    """A pair whose secret both sides then changed."""
    ours = w.local.add(email="ada@example.org", name="Ada", word="hunter2")
    await w.sync()
    theirs = w.remote.keys()[ours]
    w.local.edit(ours, word="letmein", name="Ada King")
    w.remote.edit(theirs, Word__c="swordfish")
    return ours, theirs


async def test_no_value_is_in_a_bookkeeping_on_sqlite_nor_in_a_plan(tmp_path: Path) -> None:
    open_repository = Registry().load(STORAGE, "sqlite")
    async with (
        open_repository(f"sqlite:///{tmp_path / 'crm.db'}") as repository,
        world(mapping(), repository=repository) as w,
    ):
        _, theirs = await conflict(w)
        plan = await w.plan()
        report = await w.sync()
        w.mapping = mapping(ConflictPolicy.MANUAL)
        w.local.edit(next(iter(w.local.snapshot())), word="opensesame")
        w.remote.edit(theirs, Word__c="hunter2")
        parked = await w.sync()
        found = await repository.list_conflicts("acme", "Contact")
    [write] = plan.records[0].writes
    assert write.fields == {"Name": "Ada King", "Word__c": MASK}
    assert report.remote.updated == 1
    assert parked.conflicts_open == 1
    assert [(one.status, one.local_value, one.remote_value) for one in found] == [
        (ConflictStatus.RESOLVED, MASK, MASK),
        (ConflictStatus.OPEN, MASK, MASK),
    ]
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Ada King" in content, "what is not sensitive is in the history"
    assert not [secret for secret in SECRETS if secret.encode() in content]


async def test_the_history_knows_that_there_was_a_value_and_an_undo_leaves_it() -> None:
    async with world(mapping()) as w:
        ours, theirs = await conflict(w)
        report = await w.sync()
        [change] = await w.repository.list_changes("acme", "Contact", run_id=report.run_id)
        by_name = {one.field: one for one in change.fields}
        assert is_masked(by_name["Word__c"].before)
        assert is_masked(by_name["Word__c"].after)
        assert "letmein" not in str(by_name["Word__c"].after)
        undone = await (await w.runner()).undo(report.run_id)
        assert [(each.field, each.code) for each in undone.problems] == [("Word__c", "not_kept")]
        assert w.remote.snapshot()[theirs] == {"Email": "ada@example.org", "Name": "Ada", "Word__c": "letmein"}
        assert w.local.snapshot()[ours]["word"] == "letmein"


@pytest.mark.parametrize("edited", [False, True])
async def test_a_creation_is_taken_back_unless_its_secret_was_changed_since(edited: bool) -> None:
    async with world(mapping()) as w:
        ours = w.local.add(email="ada@example.org", name="Ada", word="hunter2")
        report = await w.sync()
        w.clock.tick()
        if edited:
            w.remote.edit(w.remote.keys()[ours], Word__c="swordfish")
        undone = await (await w.runner()).undo(report.run_id)
        assert len(w.remote) == int(edited)
        assert bool(undone.problems) is edited


async def test_a_reject_names_no_option_that_was_entered() -> None:
    schema = ObjectSchema(
        name="Contact",
        fields=(
            FieldSchema(name="Email", type=FieldType.EMAIL),
            FieldSchema(name="Name"),
            FieldSchema(name="Word__c", type=FieldType.MULTI_PICKLIST, options=("a", "b"), restricted=True),
        ),
    )
    for sensitive, named in ((True, False), (False, True)):
        asked = mapping(ConflictPolicy.SET_MERGE, sensitive=sensitive)
        async with world(asked, remote={"schema": schema}) as w:
            w.local.add(email="ada@example.org", name="Ada", word=("swordfish",))
            report = await w.sync()
            [problem] = report.problems
            assert (problem.code, "swordfish" in problem.message) == ("unknown_option", named)
            assert report.remote.created == 1
