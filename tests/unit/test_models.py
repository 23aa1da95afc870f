"""What holds for every public model: frozen, strict about names, silent about values."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from crmsync import models
from crmsync.models.campaigns import CRMCampaign, EmailActivity, EmailStats
from crmsync.models.contacts import CRMContact, CRMList
from crmsync.models.integrations import Integration
from crmsync.models.mappings import FieldMapping, ObjectMapping
from crmsync.models.runs import RunOptions
from crmsync.models.schema import CustomField, FieldSchema, FieldType, PublicModel

SECRET = "someone@private.example with a secret"


def public_models() -> list[type[PublicModel]]:
    for module in pkgutil.iter_modules(models.__path__, prefix="crmsync.models."):
        importlib.import_module(module.name)
    found = [PublicModel]
    for model in found:
        found += [kind for kind in model.__subclasses__() if kind.__module__.startswith("crmsync.models.")]
    return found


@pytest.mark.parametrize("model", public_models(), ids=lambda model: model.__name__)
def test_a_model_is_frozen_refuses_unknown_names_and_hides_what_it_was_given(model: type[PublicModel]) -> None:
    assert model.model_config.get("frozen") is True
    assert model.model_config.get("extra") == "forbid"
    with pytest.raises(ValidationError) as raised:
        model.model_validate({"no_such_name": SECRET})
    assert "no_such_name" in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "model,given,field",
    [
        (CRMContact, {"email": SECRET}, "email"),
        (CRMContact, {"email": "a@b.example", "last_sync_at": SECRET}, "last_sync_at"),
        (CRMContact, {"email": "a@b.example", "tags": SECRET}, "tags"),
        (CRMList, {"name": "x", "member_count": SECRET}, "member_count"),
        (CRMCampaign, {"name": "x", "start_date": SECRET}, "start_date"),
        (CRMCampaign, {"name": SECRET * 10}, "name"),
        (EmailStats, {"sent": SECRET}, "sent"),
        (EmailActivity, {"type": SECRET, "email": "a@b.example", "occurred_at": "2026-01-01T00:00:00Z"}, "type"),
        (EmailActivity, {"type": "sent", "email": SECRET, "occurred_at": "2026-01-01T00:00:00Z"}, "email"),
        (FieldMapping, {"markmail_field": "x", "crm_field": "y", "field_type": SECRET}, "field_type"),
        (ObjectMapping, {"fields": [{"markmail_field": "x", "crm_field": "y", "tie": SECRET}]}, "fields.0.tie"),
        (Integration, {"id": SECRET * 10, "provider": "salesforce"}, "id"),
        (RunOptions, {"max_calls": SECRET}, "max_calls"),
    ],
)
def test_a_validation_error_names_the_field_and_never_prints_the_value(
    model: type[PublicModel], given: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(given)
    assert f"\n{field}\n" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_all_faults_of_one_input_are_reported_together() -> None:
    with pytest.raises(ValidationError) as raised:
        CRMContact.model_validate({"email": "nobody", "tags": 3, "nickname": "x"})
    assert {error["loc"] for error in raised.value.errors()} == {("email",), ("tags",), ("nickname",)}


def test_a_model_cannot_be_changed_and_a_copy_can() -> None:
    contact = CRMContact(email="ada@example.com", first_name="Ada")
    with pytest.raises(ValidationError):
        contact.first_name = "Eve"  # type: ignore[misc]  # the point of the test
    assert contact.model_copy(update={"first_name": "Eve"}).first_name == "Eve"
    assert contact.first_name == "Ada"


def test_times_without_a_zone_are_refused() -> None:
    with pytest.raises(ValidationError, match="last_sync_at"):
        CRMContact(email="ada@example.com", last_sync_at=datetime(2026, 1, 1))  # noqa: DTZ001  # the point of the test


def test_a_model_survives_json() -> None:
    mapping = ObjectMapping(fields=(FieldMapping(markmail_field="email", crm_field="Email"),))
    assert ObjectMapping.model_validate_json(mapping.model_dump_json()) == mapping


def test_an_integration_never_shows_its_credentials() -> None:
    assert SECRET not in repr(Integration(id="acme", provider="salesforce", credentials=SECRET))


def test_a_field_can_stand_in_a_set_also_if_it_has_parts() -> None:
    parts = {"city": FieldSchema(name="MailingCity")}
    address = FieldSchema(name="MailingAddress", type=FieldType.ADDRESS, parts=parts)
    assert {address, address.model_copy(deep=True)} == {address}
    assert len({address, FieldSchema(name="MailingAddress"), CustomField(name="MailingAddress")}) == 3
