"""Validation rules at the command line: from the file, against what the CRM sends, into the rows of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import FIELDS, Shell, shell

RULES = """
[[integrations.objects.Contact.validation]]
field = "phone"
pattern = '^\\+'
message = "numbers begin with a plus"
[[integrations.objects.Contact.validation]]
field = "last_name"
required = true
max_length = 20
on_failure = "reject_record"
[[integrations.objects.Contact.validation]]
condition = 'is_blank(company) or length(company) > 2'
"""


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_what_the_crm_sends_is_checked_before_it_is_written_and_reported_by_field(sh: Shell) -> None:
    sh.configure(FIELDS + RULES)
    assert sh.run("sync").code == 0
    org = sh.emulator.org
    ids = {contact["LastName"]: contact["Id"] for contact in sh.contacts()}
    org.update("Contact", ids["Hansen"], {"Phone": "22 44", "FirstName": "Björn"})
    org.update("Contact", ids["Köhler"], {"LastName": "x" * 21, "FirstName": "Lea"})
    org.update("Contact", ids["O'Brien"], {"MarkMail_Company__c": "X"})
    planned = sh.run("plan", "--format", "json")
    assert planned.code == 3
    synced = sh.run("sync", "--format", "json")
    assert synced.code == 3
    [run] = synced.json["runs"]
    found = {(one["field"], one["code"]): one["message"] for one in run["problems"]}
    assert found == {
        ("phone", "validation_pattern"): "numbers begin with a plus",
        ("last_name", "validation_length"): "last_name: the value has 21 of at most 20 characters",
        ("company", "validation_condition"): "the condition does not hold",
    }
    with (sh.directory / "people.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert (rows["4"]["phone"], rows["4"]["first_name"]) == ("+47 22 44 22 22", "Björn")
    assert (rows["2"]["last_name"], rows["2"]["first_name"]) == ("Köhler", "Leonie")
    assert rows["3"]["company"] == "Smith, Jones & Co"
    listed = sh.run("rejects", "list").out
    assert "numbers begin with a plus" in listed
    org.update("Contact", ids["Hansen"], {"Phone": "+47 1"})
    org.update("Contact", ids["Köhler"], {"LastName": "Kohler"})
    org.update("Contact", ids["O'Brien"], {"MarkMail_Company__c": None})
    assert sh.run("sync").code == 0


def test_faults_in_rules_are_told_with_their_place_in_the_file(sh: Shell) -> None:
    faulty = RULES.replace("'^\\+'", "'('").replace("length(company)", "lenght(company)")
    sh.configure(FIELDS + faulty)
    [check] = sh.run("mapping", "check", "--format", "json").json["checks"]
    place = "integrations[0].objects.Contact.validation"
    found = [(one["path"], one["code"]) for one in check["findings"] if one["path"].startswith(place)]
    assert found == [(f"{place}[0].pattern", "rule_unfit"), (f"{place}[2].condition", "unknown_function")]
