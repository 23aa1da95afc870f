"""What new people become, and the company that leads must have."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from crmsync.models.records import MISSING, Record
from crmsync.providers.salesforce.people.births import Births
from crmsync.providers.salesforce.people.options import ContactRule, PeopleMode

RULE = ContactRule(field="Kind__c", values=("Customer", "true"))
BIRTHS = Births("[none]", RULE)


@pytest.mark.parametrize("value", ["Customer", " customer ", ("vip", "CUSTOMER"), True])
def test_a_person_whose_field_holds_one_of_the_values_becomes_a_contact(value: object) -> None:
    assert BIRTHS.is_contact({"Kind__c": value})


@pytest.mark.parametrize("fields", [{}, {"Kind__c": None}, {"Kind__c": MISSING}, {"Kind__c": "x"}, {"Kind__c": ()}])
def test_everyone_else_becomes_a_lead(fields: dict[str, object]) -> None:
    assert not BIRTHS.is_contact(fields)


def test_without_a_rule_everyone_becomes_a_lead() -> None:
    assert not Births("[none]").is_contact({"Kind__c": "Customer"})


def test_a_rule_without_values_is_refused() -> None:
    with pytest.raises(ValidationError):
        ContactRule(field="Kind__c", values=())


@pytest.mark.parametrize("given", [{}, {"Company": None}, {"Company": ""}])
def test_a_new_lead_without_a_company_gets_what_stands_for_it(given: dict[str, object]) -> None:
    assert BIRTHS.as_lead({"LastName": "A", **given}, creates=True) == {"LastName": "A", "Company": "[none]"}


def test_a_company_is_kept_cleared_ones_are_stood_for_and_others_are_left_alone() -> None:
    assert BIRTHS.as_lead({"Company": "Acme"}, creates=True) == {"Company": "Acme"}
    assert BIRTHS.as_lead({"Company": None}, creates=False) == {"Company": "[none]"}
    assert BIRTHS.as_lead({"Phone": "1"}, creates=False) == {"Phone": "1"}


def test_what_stands_for_no_company_is_read_as_blank() -> None:
    assert BIRTHS.read(Record("1", {"Company": "[none]", "Phone": "1"})).fields == {"Company": None, "Phone": "1"}
    assert BIRTHS.read(Record("1", {"Company": "Acme"})).fields == {"Company": "Acme"}


def test_people_are_records_of_these_objects() -> None:
    assert {mode: (mode.object_name, mode.objects) for mode in PeopleMode} == {
        PeopleMode.CONTACT: ("Contact", ("Contact",)),
        PeopleMode.LEAD: ("Lead", ("Lead",)),
        PeopleMode.LEAD_THEN_CONTACT: ("Person", ("Contact", "Lead")),
    }
