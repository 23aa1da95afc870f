"""What differs between two mappings."""

from __future__ import annotations

from crmsync.mapping.changes import mapping_changes
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, SyncDirection, two_way
from crmsync.models.plans import MappingChange

OLD = ObjectMapping(fields=(two_way("email", "Email"), two_way("name", "Name"), two_way("phone", "Phone")))


def test_a_mapping_does_not_differ_from_itself_in_another_order() -> None:
    assert mapping_changes(OLD, OLD.model_copy(update={"fields": tuple(reversed(OLD.fields))})) == ()


def test_what_came_went_and_differs_is_told_apart() -> None:
    fields = (
        two_way("email", "Email"),
        two_way("name", "Name", policy="manual"),
        two_way("mobile", "MobilePhone", sync_direction="to_crm"),
    )
    new = OLD.model_copy(update={"fields": fields, "policy": ConflictPolicy.LOCAL_WINS})
    assert mapping_changes(OLD, new) == (
        MappingChange("phone = Phone", before={}),
        MappingChange("name = Name", "policy", None, "manual"),
        MappingChange("mobile = MobilePhone", after={"sync_direction": SyncDirection.TO_CRM.value}),
        MappingChange("", "policy", "newest_wins", "local_wins"),
    )


def test_of_a_first_mapping_everything_is_new() -> None:
    changes = mapping_changes(None, OLD)
    assert [one.field for one in changes if not one.setting] == ["email = Email", "name = Name", "phone = Phone"]
    assert {one.setting: one.after for one in changes if one.setting}["policy"] == "newest_wins"
