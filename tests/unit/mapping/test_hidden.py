"""Fields that are hidden from the connected user."""

from __future__ import annotations

import pytest

from crmsync.mapping import compile_mapping
from crmsync.models.mappings import Enforcement, MatchKeys, ObjectMapping, SyncDirection, two_way
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

SHOWN = FieldSchema(name="Flag", type=FieldType.BOOLEAN)
HIDDEN = SHOWN.model_copy(update={"readable": False, "createable": False, "updateable": False})
LOCAL = ObjectSchema(name="subscribers", fields=(FieldSchema(name="flag", type=FieldType.BOOLEAN),))


def mapping(direction: SyncDirection) -> ObjectMapping:
    field = two_way("flag", "Flag", field_type=FieldType.BOOLEAN, sync_direction=direction)
    return ObjectMapping(fields=(field,), match=MatchKeys(local_email="", remote_email=""))


@pytest.mark.parametrize("direction", list(SyncDirection))
def test_a_hidden_field_is_left_out_with_one_warning(direction: SyncDirection) -> None:
    rule = compile_mapping(mapping(direction), LOCAL, ObjectSchema(name="Contact", fields=(HIDDEN,)))
    [warning] = rule.warnings
    assert (warning.path, warning.code) == ("fields[0].crm_field", "unreadable")
    assert "'Flag' is hidden" in warning.message
    assert "permission to read and edit" in warning.remedy
    assert (rule.rules[0].to_crm, rule.rules[0].from_crm) == (Enforcement.OFF, Enforcement.OFF)
    assert rule.remote_fields == ()


def test_a_field_that_is_shown_again_is_another_mapping() -> None:
    """So that everything is compared, and what happened meanwhile is not missed."""
    hidden, shown = (
        compile_mapping(mapping(SyncDirection.BIDIRECTIONAL), LOCAL, ObjectSchema(name="Contact", fields=(field,)))
        for field in (HIDDEN, SHOWN)
    )
    assert hidden.version != shown.version
    assert shown.warnings == ()
