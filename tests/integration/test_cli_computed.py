"""Computed fields at the command line: in the file, in its checks, through a sync, and tried on their own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.shell import Shell, shell

COMPUTED = """
[[integrations.objects.Contact.computed]]
side = "local"
name = "name"
expression = 'first_name & " " & last_name'
inverse = { first_name = 'before(value, " ")', last_name = 'after(value, " ")' }
[[integrations.objects.Contact.computed]]
side = "local"
name = "country"
expression = 'lookup(part(phone, " ", 1), {"+55": "Brazil", "+49": "Germany", "+353": "Ireland"})'
"""
FIELDS = """
email = { crm_field = "Email", field_type = "email" }
name = "LastName"
country = { crm_field = "Department", sync_direction = "to_crm" }
"""


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


def test_a_file_of_rows_is_synced_by_its_computed_fields_and_bad_values_are_rejects(sh: Shell) -> None:
    sh.configure(FIELDS + COMPUTED)
    report = sh.run("sync", "--format", "json")
    assert report.code == 3, report.err
    [run] = report.json["runs"]
    assert [(one["field"], one["code"]) for one in run["problems"]] == [("country", "not_computed")]
    assert "not in the table" in run["problems"][0]["message"]
    contacts = {contact["LastName"]: contact["Department"] for contact in sh.contacts()}
    assert contacts == {
        "Luís Gonçalves": "Brazil",
        "Leonie Köhler": "Germany",
        "Conor O'Brien": "Ireland",
        "Bjørn Hansen": None,
    }
    [ireland] = [contact for contact in sh.contacts() if contact["Department"] == "Ireland"]
    sh.emulator.org.update("Contact", ireland["Id"], {"LastName": "Conor Byrne"})
    assert sh.run("sync").code == 3
    with (sh.directory / "people.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: (row["first_name"], row["last_name"]) for row in csv.DictReader(file)}
    assert rows["3"] == ("Conor", "Byrne")
    assert sh.run("rejects", "list", "--format", "json").json["rejects"][0]["reasons"][0]["code"] == "not_computed"


def test_a_check_tells_the_place_of_each_fault_in_the_file(sh: Shell) -> None:
    faulty = COMPUTED.replace('" ", 1)', '" ")').replace("first_name &", "frist_name &")
    sh.configure(FIELDS + faulty)
    [check] = sh.run("mapping", "check", "--format", "json").json["checks"]
    place = "integrations[0].objects.Contact.computed"
    found = [(one["path"], one["code"]) for one in check["findings"] if one["path"].startswith(place)]
    assert found == [
        (f"{place}[0].expression", "computed_input"),
        (f"{place}[0].inverse", "inverse_wrong"),
        (f"{place}[1].expression", "argument_count"),
    ]
    assert "column 8" in sh.run("plan").err


def test_a_two_way_field_without_an_inverse_is_refused_with_what_to_do(sh: Shell) -> None:
    sh.configure(FIELDS + COMPUTED.replace("inverse", "# inverse"))
    refused = sh.run("plan")
    assert refused.code == 2
    assert "' ' may stand within 'first_name'" in refused.err
    assert "give it an inverse" in refused.err


def test_an_expression_is_tried_on_a_record(sh: Shell) -> None:
    shown = sh.run("mapping", "evaluate", "upper(name) & seats", "--record", '{"name": "Ada", "seats": 2}')
    assert (shown.code, shown.out.splitlines()[0]) == (0, '"ADA2"')
    found = sh.run("mapping", "evaluate", "born", "--set", "born=2026-01-31", "--type", "born=date", "--format", "json")
    assert found.json["value"] == "2026-01-31"
    assert found.json["inverse"] == {"born": "value"}
    failed = sh.run("mapping", "evaluate", "number(name)", "--set", "name=x", "--format", "json")
    assert (failed.code, failed.json["failure"]) == (3, "not a number")
    hidden = sh.run("mapping", "evaluate", "name", "--type", "name=text")
    assert "not shown" in hidden.out


def test_what_cannot_be_tried_says_why(sh: Shell) -> None:
    for arguments, message in (
        (["upper("], "the end is not expected here"),
        (["a", "--record", "[]"], "JSON object"),
        (["a", "--record", "{"], "JSON object"),
        (["a", "--set", "a"], "NAME=VALUE"),
        (["a", "--type", "a=word"], "there are text"),
    ):
        refused = sh.run("mapping", "evaluate", *arguments, "--format", "json")
        assert refused.code == 2
        assert message in json.dumps(refused.json)
