"""Field mappings, their alias and the four presets."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from crmsync.models.mappings import (
    ConflictPolicy,
    Enforcement,
    FieldMapping,
    ObjectMapping,
    SyncDirection,
    always_use_crm,
    dont_sync,
    prefer_crm_unless_blank,
    two_way,
)
from crmsync.models.records import Side
from crmsync.models.schema import FieldType


@pytest.mark.parametrize("name", ["crm_field", "salesforce_field"])
def test_the_crm_field_may_be_called_by_its_older_name(name: str) -> None:
    mapping = FieldMapping.model_validate({"markmail_field": "email", name: "Email"})
    assert mapping.crm_field == "Email"
    assert mapping.model_dump()["crm_field"] == "Email"


def test_a_mapping_without_options_is_a_two_way_text() -> None:
    mapping = FieldMapping(markmail_field="first_name", crm_field="FirstName")
    assert mapping.field_type is FieldType.TEXT
    assert mapping.sync_direction is SyncDirection.BIDIRECTIONAL
    assert (mapping.policy, mapping.to_crm, mapping.from_crm) == (None, None, None)


@pytest.mark.parametrize(
    "given",
    [
        {"markmail_field": "", "crm_field": "Email"},
        {"markmail_field": "email", "crm_field": ""},
        {"markmail_field": "email"},
        {"crm_field": "Email"},
    ],
)
def test_both_field_names_are_required(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        FieldMapping.model_validate(given)


@pytest.mark.parametrize(
    "preset,expected",
    [
        (two_way, {"sync_direction": SyncDirection.BIDIRECTIONAL, "policy": None}),
        (prefer_crm_unless_blank, {"policy": ConflictPolicy.PREFER_NONBLANK, "tie": Side.REMOTE}),
        (always_use_crm, {"sync_direction": SyncDirection.FROM_CRM, "from_crm": Enforcement.MIRROR}),
        (dont_sync, {"to_crm": Enforcement.OFF, "from_crm": Enforcement.OFF}),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_preset_is_a_field_mapping_with_its_rule(preset: Any, expected: dict[str, object]) -> None:
    mapping = preset("phone", "Phone", field_type=FieldType.PHONE)
    assert (mapping.markmail_field, mapping.crm_field, mapping.field_type) == ("phone", "Phone", FieldType.PHONE)
    assert {name: getattr(mapping, name) for name in expected} == expected


def test_an_option_overrides_a_preset() -> None:
    assert prefer_crm_unless_blank("phone", "Phone", tie=Side.LOCAL).tie is Side.LOCAL


def test_the_overwrite_guard_is_a_hundred_values_or_a_quarter() -> None:
    mapping = ObjectMapping(fields=())
    assert (mapping.overwrite_guard_count, mapping.overwrite_guard_share) == (100, 0.25)


def test_the_delete_guard_is_fifty_or_one_per_cent_and_deletes_are_ignored() -> None:
    mapping = ObjectMapping(fields=(two_way("email", "Email"),))
    assert (mapping.delete_guard_count, mapping.delete_guard_share) == (50, 0.01)
    assert {mapping.delete_in_crm, mapping.delete_in_local} == {"ignore"}


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_the_delete_guard_is_a_share(share: float) -> None:
    with pytest.raises(ValidationError, match="delete_guard_share"):
        ObjectMapping(fields=(), delete_guard_share=share)
