"""A mapping that reads values in another way than the one before."""

from __future__ import annotations

import pytest

from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.schema import FieldType
from crmsync.testing.world import world

pytestmark = pytest.mark.anyio

EMAIL = two_way("email", "Email", field_type=FieldType.EMAIL)


async def test_a_field_of_another_type_is_looked_at_anew_although_both_records_are_read_as_they_were() -> None:
    """Else the value that the CRM cut would pass for an edit when another field of its record changes."""
    as_text = two_way("phone", "Phone", policy=ConflictPolicy.LOCAL_WINS)
    as_phone = two_way("phone", "Phone", policy=ConflictPolicy.LOCAL_WINS, field_type=FieldType.PHONE)
    cut = {"lossy": {"Phone": lambda value: str(value)[:8]}}
    async with world(ObjectMapping(fields=(EMAIL, as_text)), remote=cut) as w:
        ours = w.local.add(email="ada@example.org", phone="+49 30 123456")
        await w.sync()
        await w.sync()
        (theirs,) = w.remote.snapshot()
        w.mapping = ObjectMapping(fields=(EMAIL, as_phone))
        await w.sync()
        await w.sync()
        w.remote.edit(theirs, Email="ada@example.com")
        await w.sync()
        assert w.local.snapshot()[ours] == {"email": "ada@example.com", "phone": "+49 30 123456"}
