"""Whether two sides agree is found by reading them, so that every kind of disagreement is seen."""

from __future__ import annotations

import pytest

from crmsync.cli.demo.convergence import Comparison, compare
from crmsync.mapping import compile_mapping
from crmsync.models.mappings import MatchKeys, ObjectMapping, two_way
from crmsync.models.records import StoreLimits
from crmsync.models.schema import FieldType, ObjectSchema
from crmsync.testing.memory_records import MemoryRecordStore

pytestmark = pytest.mark.anyio

RULE = compile_mapping(
    ObjectMapping(
        fields=(
            two_way("email", "Email", field_type=FieldType.EMAIL),
            two_way("name", "LastName"),
            two_way("tags", "Tags", field_type=FieldType.TAGS),
        ),
        match=MatchKeys(local_email="email", remote_email="Email"),
    ),
    ObjectSchema(name="subscribers", open=True),
    ObjectSchema(name="Contact", open=True),
)


def sides() -> tuple[MemoryRecordStore, MemoryRecordStore]:
    """Two people on both sides, the same in another form."""
    local = MemoryRecordStore("subscribers", limits=StoreLimits(read_page=1))
    remote = MemoryRecordStore("Contact")
    for number in range(2):
        local.add({"email": f"p{number}@x.example", "name": "N", "tags": ("a", "b")}, id=f"l{number}")
        remote.add(
            {"Email": f"P{number}@x.example", "LastName": "N", "Tags": ("b", "a")}, id=f"r{number}", key=f"l{number}"
        )
    return local, remote


async def compared(local: MemoryRecordStore, remote: MemoryRecordStore) -> Comparison:
    return await compare(RULE, local, remote, spoilt={"bad"}, doubled={"twice@x.example"})


async def test_sides_that_hold_the_same_agree() -> None:
    found = await compared(*sides())
    assert found == Comparison(pairs=2)
    assert found.agree


async def test_a_field_that_differs_is_found() -> None:
    local, remote = sides()
    remote.edit("r1", {"LastName": "M"})
    found = await compared(local, remote)
    assert found.different == ("l1",)
    assert not found.agree


async def test_a_record_that_is_only_on_one_side_is_found() -> None:
    local, remote = sides()
    local.add({"email": "here@x.example"}, id="l2")
    remote.add({"Email": "there@x.example"}, id="r2")
    found = await compared(local, remote)
    assert (found.only_local, found.only_remote) == (("l2",), ("r2",))
    assert not found.agree


async def test_two_contacts_with_the_key_of_one_row_do_not_agree() -> None:
    local, remote = sides()
    remote.remove("r0")
    remote.remove("r1")
    remote.add({"Email": "p0@x.example", "LastName": "N", "Tags": ("a", "b")}, key="l0")
    assert (await compared(local, remote)).only_local == ("l1",)


async def test_what_someone_must_mend_first_is_excused_and_counted() -> None:
    local, remote = sides()
    local.add({"email": "nonsense", "name": "N"}, id="bad")
    local.add({"email": "Twice@x.example"}, id="l3")
    remote.add({"Email": "twice@X.example"})
    remote.add({"Email": "twice@x.example"})
    found = await compared(local, remote)
    assert found.agree
    assert found.excused == 4
