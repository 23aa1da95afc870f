"""A mapping proposed from column names, and the file that holds it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from crmsync.cli.config import load_config
from crmsync.cli.config_text import Beginning, config_text, inline, key
from crmsync.cli.proposal import propose
from crmsync.models.mappings import ConflictPolicy, ObjectMapping, two_way
from crmsync.models.schema import FieldType

DEFAULT = ObjectMapping(
    fields=(
        two_way("email", "Email", field_type=FieldType.EMAIL),
        two_way("first_name", "FirstName"),
        two_way("last_name", "LastName", required=True),
        two_way("company", "MarkMail_Company__c"),
        two_way("phone", "Phone", field_type=FieldType.PHONE),
        two_way(
            "opted_out", "HasOptedOutOfEmail", field_type=FieldType.BOOLEAN, policy=ConflictPolicy.MOST_RESTRICTIVE
        ),
    )
)


def mapped(*columns: str) -> dict[str, str]:
    proposal = propose(columns, DEFAULT, key="id")
    return {field.markmail_field: field.crm_field for field in proposal.mapping.fields}


def test_columns_named_as_the_crm_names_them_are_mapped() -> None:
    assert mapped("id", "FirstName", "LastName", "Email", "Company") == {
        "Email": "Email",
        "FirstName": "FirstName",
        "LastName": "LastName",
        "Company": "MarkMail_Company__c",
    }


@pytest.mark.parametrize(
    "column, field",
    [
        ("E-Mail", "Email"),
        ("email address", "Email"),
        ("Vorname", "FirstName"),
        ("surname", "LastName"),
        ("Telephone", "Phone"),
        ("unsubscribed", "HasOptedOutOfEmail"),
        ("organisation", "MarkMail_Company__c"),
        ("last_nmae", "LastName"),
    ],
)
def test_other_names_of_the_same_thing_are_known(column: str, field: str) -> None:
    assert mapped("id", column) == {column: field}


def test_each_field_is_given_to_the_best_named_column_only() -> None:
    assert mapped("id", "mail", "email") == {"email": "Email"}


def test_what_nothing_corresponds_to_is_left_with_a_suggestion_if_there_is_one() -> None:
    proposal = propose(("id", "email", "City", "ShoeSize"), DEFAULT, key="id")
    assert dict(proposal.unmapped) == {"City": "MailingCity", "ShoeSize": ""}


def test_the_options_of_the_default_mapping_and_the_match_follow_the_columns() -> None:
    mapping = propose(("id", "E-Mail", "optout"), DEFAULT, key="id").mapping
    assert mapping.match.local_email == "E-Mail"
    assert mapping.fields[-1].policy is ConflictPolicy.MOST_RESTRICTIVE


def test_without_an_email_column_matching_by_email_is_off() -> None:
    assert propose(("id", "surname"), DEFAULT, key="id").mapping.match.local_email == ""


def test_the_file_that_init_writes_is_read_back_as_what_was_proposed(tmp_path: Path) -> None:
    proposal = propose(("id", 'E-Mail "work"', "Mail", "sur name", "Größe"), DEFAULT, key="id")
    text = config_text(
        Beginning(
            provider="salesforce",
            key="file:crmsync.key",
            local={"type": "csv", "path": "péople.csv", "key": "id"},
            local_types=("csv", "sql"),
            settings={"instance_url": "https://acme.my.salesforce.com"},
            credentials={"access_token": "env:SF_TOKEN"},
            objects={"Contact": proposal.mapping},
            unmapped=proposal.unmapped,
        )
    )
    path = tmp_path / "crmsync.toml"
    path.write_text(text, encoding="utf-8")
    config = load_config(path)
    assert config.mapping_problems == ()
    assert config.objects["salesforce"]["Contact"].mapping == proposal.mapping
    assert config.local_options("subscribers")["path"] == str(tmp_path / "péople.csv")


@pytest.mark.parametrize("value", ["a", 'quote " and \\', "", True, 3, ["x", "y"], {"a b": "c", "d": {"e": [1]}}])
def test_values_and_keys_are_written_on_one_line_as_valid_toml(value: object) -> None:
    name = 'a key.with "all"'
    line = f"{key(name)} = {inline(value)}"
    assert "\n" not in line
    assert tomllib.loads(line) == {name: value}
