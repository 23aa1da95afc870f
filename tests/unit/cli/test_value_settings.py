"""What a field mapping says of its values stands in the configuration file as in the API."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from crmsync.cli.config import load_config
from crmsync.cli.config_text import inline
from crmsync.cli.exits import UsageProblemError
from crmsync.models.mappings import FieldMapping, UnknownOption
from crmsync.models.schema import FieldType, Unit

HEAD = """
[local]
type = "csv"
path = "people.csv"

[[integrations]]
id = "acme"
provider = "salesforce"

[integrations.objects.Contact.fields]
"""
FIELDS = """
phone = { crm_field = "Phone", field_type = "phone", region = "DE" }
seen = { crm_field = "Seen__c", field_type = "datetime", zone = "Europe/Berlin" }
share = { crm_field = "Share__c", field_type = "percent", unit = "fraction", crm_unit = "percent" }
price = { crm_field = "Price__c", field_type = "currency", currency = "EUR" }
source = { crm_field = "LeadSource", unknown_option = "fallback", fallback_option = "Other", case_fold = true }
status = { crm_field = "Status__c", value_map = { mailed = "Sent" }, crm_value_map = { Delivered = "mailed" } }
list = { crm_field = "CampaignId", field_type = "reference", references = "Campaign" }
"""


def fields_of(directory: Path, lines: str) -> dict[str, FieldMapping]:
    path = directory / "crmsync.toml"
    path.write_text(HEAD + lines, encoding="utf-8")
    config = load_config(path)
    assert config.mapping_problems == ()
    mapping = config.objects["acme"]["Contact"].mapping
    assert mapping is not None
    return {field.markmail_field: field for field in mapping.fields}


def test_every_setting_is_read(tmp_path: Path) -> None:
    fields = fields_of(tmp_path, FIELDS)
    assert fields["phone"].region == "DE"
    assert fields["seen"].zone == "Europe/Berlin"
    assert (fields["share"].unit, fields["share"].crm_unit) == (Unit.FRACTION, Unit.PERCENT)
    assert fields["price"].currency == "EUR"
    assert (fields["source"].unknown_option, fields["source"].fallback_option) == (UnknownOption.FALLBACK, "Other")
    assert fields["source"].case_fold
    assert fields["status"].crm_value_map == {"Delivered": "mailed"}
    assert (fields["list"].field_type, fields["list"].references) == (FieldType.REFERENCE, "Campaign")


def test_every_setting_is_written_as_it_is_read(tmp_path: Path) -> None:
    fields = fields_of(tmp_path, FIELDS)
    dumped = {name: field.model_dump(mode="json", exclude_defaults=True) for name, field in fields.items()}
    lines = "\n".join(f"{name} = {inline(settings)}" for name, settings in dumped.items())
    assert {name: FieldMapping(**each) for name, each in tomllib.loads(lines).items()} == fields


@pytest.mark.parametrize(
    "wrong", ['region = "Germany"', 'unit = "score"', 'currency = "euro"', 'unknown_option = "ask"']
)
def test_what_no_setting_can_be_is_a_fault_with_its_place(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "crmsync.toml"
    path.write_text(HEAD + f'phone = {{ crm_field = "Phone", {wrong} }}\n', encoding="utf-8")
    try:
        problems = load_config(path).mapping_problems
    except UsageProblemError as error:
        problems = tuple(error.problems)
    assert [problem.path.rpartition(".")[2] for problem in problems] == [wrong.partition(" ")[0]]
