"""What a check of a mapping finds, proposes and covers."""

from __future__ import annotations

from typing import Any

import pytest

from crmsync.errors import MappingError
from crmsync.mapping import MappingCode, check_mapping, compile_mapping, fixed
from crmsync.models.checks import FieldUse, Fix, MappingCheck, MappingFinding, Severity
from crmsync.models.mappings import Enforcement, FieldMapping, MatchKeys, ObjectMapping, OnLoss, SyncDirection, two_way
from crmsync.models.records import Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

CODE = MappingCode
NO_MATCH = MatchKeys(local_email="", remote_email="")


def checked(local: FieldSchema, remote: FieldSchema, **options: Any) -> MappingCheck:
    field = FieldMapping.model_validate({"markmail_field": local.name, "crm_field": remote.name, **options})
    mapping = ObjectMapping(fields=(field,), match=NO_MATCH)
    return check_mapping(
        mapping, ObjectSchema(name="subscribers", fields=(local,)), ObjectSchema(name="Contact", fields=(remote,))
    )


def the(check: MappingCheck, code: MappingCode) -> MappingFinding:
    [found] = [finding for finding in check.findings if finding.code == code]
    assert found.remedy, found
    return found


def codes(check: MappingCheck) -> list[str]:
    return [finding.code for finding in check.findings]


def test_everything_is_told_at_once_and_nothing_is_raised(contact: ObjectSchema) -> None:
    mapping = ObjectMapping(
        fields=(
            two_way("last_name", "LastNam"),
            two_way("name", "Name"),
            two_way("note", "FirstName", namespace="mm:"),
            two_way("source", "Source__c"),
        )
    )
    local = ObjectSchema(name="subscribers", open=True, fields=(FieldSchema(name="note", length=200),))
    check = check_mapping(mapping, local, contact)
    assert [(each.path, each.code, each.severity.value) for each in check.findings] == [
        ("fields[0].crm_field", CODE.UNKNOWN_FIELD, "error"),
        ("fields[1].crm_field", CODE.NOT_WRITABLE, "error"),
        ("fields[2].namespace", CODE.NAMESPACE_UNUSED, "warning"),
        ("fields[2].crm_field", CODE.SHORTER, "warning"),
        ("fields[3].crm_field", CODE.CREATE_ONLY, "warning"),
        ("fields", CODE.REQUIRED_NOT_COVERED, "error"),
    ]
    assert not check.ok
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping, local, contact)
    assert [each.path for each in caught.value.problems] == [each.path for each in check.of(Severity.ERROR)]


def test_carrying_out_the_fixes_makes_the_mapping_acceptable(contact: ObjectSchema) -> None:
    mapping = ObjectMapping(
        fields=(
            two_way("last_name", "lastname", required=True),
            two_way("name", "Name"),
            two_way("first", "FirstName", policy="set_merge"),
            two_way("out", "HasOptedOutOfEmail", to_crm="mirror", sync_direction="from_crm"),
            two_way("status", "CleanStatus", value_map={"ok": "matched"}),
            two_way("interests", "Interests__c", separator=""),
            two_way("source", "Source__c"),
            two_way("born", "Birthdate", namespace="x"),
        ),
        match=MatchKeys(remote_email=""),
    )
    local = ObjectSchema(name="subscribers", open=True)
    check = check_mapping(mapping, local, contact)
    fixes = [finding.fix for finding in check.findings]
    assert None not in fixes, [finding.code for finding in check.findings if finding.fix is None]
    mended = fixed(mapping, [fix for fix in fixes if fix is not None])
    assert [each for each in check_mapping(mended, local, contact).findings if each.code != CODE.OPTIONS_DIFFER] == []
    assert mended.fields[0].crm_field == "LastName"
    assert mended.fields[1].sync_direction is SyncDirection.FROM_CRM
    assert mended.fields[4].value_map == {"ok": "Matched"}
    assert mended.fields[6].to_crm is Enforcement.CREATE_ONLY


def test_a_required_field_that_the_other_side_has_is_proposed_to_be_mapped(contact: ObjectSchema) -> None:
    mapping = ObjectMapping(fields=(two_way("email", "Email"),))
    local = ObjectSchema(name="subscribers", fields=(FieldSchema(name="email"), FieldSchema(name="last_name")))
    check = check_mapping(mapping, local, contact)
    assert the(check, CODE.REQUIRED_NOT_COVERED).fix == Fix(add=(two_way("last_name", "LastName", required=True),))
    nothing_like_it = check_mapping(mapping, ObjectSchema(name="subscribers", open=True), contact)
    assert the(nothing_like_it, CODE.REQUIRED_NOT_COVERED).fix == Fix(settings={"create_in_crm": False})


def test_a_fix_of_another_mapping_is_refused() -> None:
    with pytest.raises(ValueError, match="no field mapping 4"):
        fixed(ObjectMapping(fields=(two_way("a", "A"),)), [Fix(index=4, settings={"crm_field": "B"})])


def test_a_field_that_holds_less_is_pointed_out_in_the_direction_that_loses() -> None:
    long, short = FieldSchema(name="bio", length=255), FieldSchema(name="Bio__c", length=80)
    assert the(checked(long, short), CODE.SHORTER).path == "fields[0].crm_field"
    assert codes(checked(long, short, sync_direction="from_crm")) == []
    assert codes(checked(FieldSchema(name="bio"), short)) == [], "a side that does not say how much it holds is no news"


@pytest.mark.parametrize(
    "ours,theirs,path",
    [
        ({"precision": 12, "scale": 4}, {"precision": 10, "scale": 2}, "fields[0].crm_field"),
        ({"precision": 12, "scale": 2}, {"precision": 6, "scale": 2}, "fields[0].crm_field"),
        ({"precision": 6, "scale": 0}, {"precision": 8, "scale": 2}, "fields[0].markmail_field"),
        ({"precision": 6, "scale": 2}, {"precision": 6, "scale": 2}, None),
        ({}, {"precision": 6, "scale": 2}, None),
    ],
)
def test_a_field_that_holds_fewer_digits_is_pointed_out(
    ours: dict[str, int], theirs: dict[str, int], path: str | None
) -> None:
    local = FieldSchema(name="score", type=FieldType.DECIMAL, **ours)
    remote = FieldSchema(name="Score__c", type=FieldType.DECIMAL, **theirs)
    found = [each.path for each in checked(local, remote).findings if each.code == CODE.LESS_PRECISE]
    assert found == ([path] if path else [])


def test_types_that_lose_are_a_warning_and_a_text_read_as_something_else_a_note() -> None:
    date = FieldSchema(name="Born__c", type=FieldType.DATE)
    moment = FieldSchema(name="born", type=FieldType.DATETIME)
    assert the(checked(moment, date), CODE.LOSSY_TYPES).severity is Severity.WARNING
    text = FieldSchema(name="born")
    note = the(checked(text, date), CODE.LOSSY_TYPES)
    assert (note.severity, note.path) == (Severity.INFO, "fields[0].crm_field")


@pytest.mark.parametrize("on_loss", [OnLoss.REPORT, OnLoss.ACCEPT])
def test_a_two_way_field_that_accepts_losses_cannot_be_inverted(on_loss: OnLoss) -> None:
    moment, date = FieldSchema(name="born", type=FieldType.DATETIME), FieldSchema(name="B__c", type=FieldType.DATE)
    found = the(checked(moment, date, on_loss=on_loss), CODE.NOT_INVERTIBLE)
    assert found.fix == Fix(index=0, settings={"on_loss": "reject_field"})
    assert CODE.NOT_INVERTIBLE not in codes(checked(moment, date, on_loss=on_loss, sync_direction="to_crm"))
    assert CODE.NOT_INVERTIBLE not in codes(checked(moment, date))


def picklist(name: str, *options: str) -> FieldSchema:
    return FieldSchema(name=name, type=FieldType.PICKLIST, options=options, restricted=True)


def test_options_that_the_other_side_lacks_are_told_by_direction_and_paired_by_their_spelling() -> None:
    check = checked(picklist("status", "active", "gone", "new"), picklist("Status__c", "Active", "New", "VIP"))
    found = [finding for finding in check.findings if finding.code == CODE.OPTIONS_DIFFER]
    assert [each.message for each in found] == [
        "'Status__c' has no option for 'active', 'gone', 'new' of 'status'",
        "'status' has no option for 'Active', 'New', 'VIP' of 'Status__c'",
    ]
    assert {str(each.fix and each.fix.settings) for each in found} == {
        str({"value_map": {"active": "Active", "new": "New"}})
    }
    named = {"active": "Active", "new": "New", "gone": "VIP"}
    alike = checked(
        picklist("status", "active", "gone", "new"), picklist("Status__c", "Active", "New", "VIP"), value_map=named
    )
    assert codes(alike) == []


def test_a_field_that_must_differ_between_records_and_one_that_must_not_be_blank() -> None:
    remote = FieldSchema(name="Number__c", unique=True, nillable=False, type=FieldType.TEXT)
    check = checked(FieldSchema(name="number"), remote)
    assert the(check, CODE.NOT_UNIQUE).severity is Severity.INFO
    assert the(check, CODE.BLANK_REFUSED).fix == Fix(index=0, settings={"required": True})
    assert codes(checked(FieldSchema(name="number", unique=True, nillable=False), remote)) == []


def test_the_coverage_says_what_becomes_of_every_field_of_both_sides(contact: ObjectSchema) -> None:
    mapping = ObjectMapping(
        fields=(two_way("first", "FirstName"), two_way("secret", "Secret__c", sync_direction="from_crm"))
    )
    local = ObjectSchema(name="subscribers", open=True, fields=(FieldSchema(name="email"), FieldSchema(name="city")))
    ours, theirs = check_mapping(mapping, local, contact).coverage
    assert (ours.side, theirs.side, ours.open, theirs.open) == (Side.LOCAL, Side.REMOTE, True, False)
    assert ours.names(FieldUse.MAPPED) == ("first",)
    assert ours.names(FieldUse.MATCHED) == ("email",)
    assert ours.names(FieldUse.UNMAPPED) == ("city",)
    assert theirs.names(FieldUse.OFF) == ("Secret__c",)
    assert theirs.names(FieldUse.MATCHED) == ("Email",)
    assert theirs.missing == ("LastName",)
    assert {field.name for field in theirs.fields} == {field.name for field in contact.fields}
    assert not next(field for field in theirs.fields if field.name == "Name").writable


def test_no_finding_of_a_check_holds_more_than_a_few_options() -> None:
    many = picklist("status", *(f"option {number}" for number in range(300)))
    [message] = [each.message for each in checked(many, picklist("S__c", "x"), sync_direction="to_crm").findings]
    assert message.endswith("'option 4' and 295 more of 'status'")


def test_an_encrypted_field_may_come_masked_and_a_folded_option_is_not_missed() -> None:
    secret = FieldSchema(name="Tax_Id__c", type=FieldType.ENCRYPTED)
    found = the(checked(FieldSchema(name="tax_id"), secret), CODE.MAY_BE_MASKED)
    assert (found.path, found.severity) == ("fields[0].crm_field", Severity.INFO)
    alike = checked(picklist("status", "active"), picklist("Status__c", "Active"), case_fold=True)
    assert CODE.OPTIONS_DIFFER not in codes(alike)
