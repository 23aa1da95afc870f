"""The reference says what the code says."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer
from pydantic import BaseModel

from crmsync.cli.config import ConfigFile, IntegrationSection, VaultSection, load_config
from crmsync.cli.exits import ExitCode
from crmsync.cli.tree import PLACES, command_tree
from crmsync.errors import AccessDeniedError, AuthenticationError
from crmsync.mapping import ExpressionCode, MappingCode
from crmsync.mapping.codes import MEANINGS, reference_rows
from crmsync.mapping.expressions.reference import GROUPS
from crmsync.mapping.expressions.reference import reference_rows as function_rows
from crmsync.models.mappings import ComputedField, FieldMapping, MatchKeys, ObjectMapping, OnLoss, ValidationRule
from crmsync.models.runs import RunOptions
from crmsync.models.templates import mapping_schema
from crmsync.protocols.conversion import LossKind
from crmsync.providers.salesforce import error_codes, oauth_refusals
from crmsync.providers.salesforce.credentials import SalesforceCredentials
from crmsync.providers.salesforce.errors import call_error, command_error, is_gone, row_error
from crmsync.providers.salesforce.objects.options import CampaignOptions, ParentOptions
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.sf.options import SfOptions
from crmsync.storage.csv_records import open_records
from crmsync.storage.sql.tables import metadata
from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.routes.control_faults import FAULT_NAMES
from crmsync.testing.salesforce.transport import InProcessTransport
from tests.docs import type_tables
from tests.docs.documents import ROOT

REFERENCE = ROOT / "docs" / "reference"
OWN_CODE = re.compile(r"""(?:code=|failure\()"([a-z_]+)\"""")


def sections(page: str) -> list[tuple[str, str]]:
    """Each section of a page: its heading, and its text."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)


def rows(text: str) -> list[list[str]]:
    """The cells of every table row below its header."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return [row for row in cells[1:] if not set(row[0]) <= {"-"}]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("table,text", sections("tables.md"))
def test_the_tables_have_these_columns(table: str, text: str) -> None:
    documented = [name for row in rows(text) for name in codes(row[0])]
    assert sorted(documented) == sorted(metadata.tables[table].columns.keys())


def test_all_tables_are_described() -> None:
    assert {table for table, _ in sections("tables.md")} == set(metadata.tables)


def test_all_exit_codes_are_described() -> None:
    section = dict(sections("command-line.md"))["Exit codes"]
    documented = {codes(row[1])[0]: int(row[0]) for row in rows(section)}
    assert documented == {code.name: code.value for code in ExitCode}


def test_all_commands_are_described() -> None:
    section = dict(sections("command-line.md"))["Commands"]
    documented = {codes(row[0])[0] for row in rows(section)}
    assert documented == set(command_names(command_tree(PLACES)))


def command_names(group: typer.Typer, prefix: str = "") -> Iterator[str]:
    for command in group.registered_commands:
        yield prefix + (command.name or command.callback.__name__.rstrip("_") if command.callback else "")
    for part in group.registered_groups:
        if part.typer_instance is not None:
            own = part.typer_instance.registered_callback
            if own is not None and own.invoke_without_command is True:
                yield f"{prefix}{part.name}"
            yield from command_names(part.typer_instance, f"{prefix}{part.name} ")


def fault_examples() -> list[dict[str, Any]]:
    section = dict(sections("emulator.md"))["Faults"]
    return [json.loads(codes(row[0])[0]) for row in rows(section)]


def troubles(org: SalesforceOrg) -> tuple[object, ...]:
    """All that a fault may change."""
    is_signed_out = org.oauth.use_session(org.access_token, org.now()) is None
    return repr(org.faults), repr(org.locks), org.api_calls, is_signed_out


def test_every_fault_of_the_emulator_is_described() -> None:
    assert {name for example in fault_examples() for name in example} == FAULT_NAMES


@pytest.mark.anyio
@pytest.mark.parametrize("example", fault_examples(), ids=json.dumps)
async def test_the_example_of_a_fault_works(example: dict[str, Any]) -> None:
    org = SalesforceOrg()
    before = troubles(org)
    async with httpx2.AsyncClient(
        transport=InProcessTransport(org, control=True), base_url="http://org.example"
    ) as client:
        answer = await client.post("/__emulator__/faults", json=example)
    assert answer.status_code == 200, answer.text
    assert troubles(org) != before


def salesforce(section: str) -> list[list[str]]:
    text = (REFERENCE / "salesforce.md").read_text(encoding="utf-8")
    found = re.search(rf"^##+ {section}\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return rows(found[1])


def test_all_settings_and_credentials_of_salesforce_are_described() -> None:
    settings = {name for row in salesforce("Settings") for name in codes(row[0])}
    credentials = {name for row in salesforce("Credentials") for name in codes(row[0])}
    assert settings == set(SalesforceSettings.model_fields)
    assert credentials == set(SalesforceCredentials.model_fields)
    cli = {name for row in salesforce("The Salesforce CLI") for name in codes(row[0])}
    assert cli == set(SfOptions.model_fields)
    parents = {name for row in salesforce("Fields of parents") for name in codes(row[0])}
    campaigns = {name for row in salesforce("Campaigns") for name in codes(row[0])}
    assert parents == set(ParentOptions.model_fields)
    assert campaigns == set(CampaignOptions.model_fields)


def salesforce_errors(part: str) -> dict[str, set[str]]:
    """The codes under each heading of a part of the page on Salesforce's errors, by the error that it names."""
    text = (REFERENCE / "salesforce-errors.md").read_text(encoding="utf-8")
    whole = text.split(f"\n## {part}\n")[1].split("\n## ")[0]
    found: dict[str, set[str]] = {}
    for section in whole.split("\n### ")[1:]:
        heading, _, body = section.partition("\n")
        kind = codes(heading)[0] if codes(heading) else heading
        listed = [code for row in rows(body) for code in codes(row[0])]
        assert len(listed) == len(set(listed)), f"{heading} lists a code twice"
        assert all(len(row) == 3 and all(row) for row in rows(body)), f"{heading} has an empty cell"
        found[kind] = set(listed)
    return found


def test_every_code_of_a_failed_call_is_described_under_what_it_becomes() -> None:
    documented = salesforce_errors("A call as a whole")
    assert documented == {kind.__name__: set(known) for kind, known in error_codes.CALL_ERRORS.items()}
    for kind, listed in documented.items():
        for code in listed:
            error = call_error(400, json.dumps([{"errorCode": code, "message": "x"}]).encode())
            assert type(error).__name__ == kind, code


def test_every_refused_call_says_what_the_reference_says_to_do() -> None:
    """All codes of one row of the page have one remedy, of their own."""
    text = (REFERENCE / "salesforce-errors.md").read_text(encoding="utf-8").split("\n## A call as a whole\n")[1]
    told = [
        {error_codes.CALL_REMEDIES.get(code) for code in codes(row[0])}
        for kind in ("AuthenticationError", "AccessDeniedError")
        for row in rows(text.split(f"\n### `{kind}`\n")[1].split("\n### ")[0])
    ]
    known = error_codes.CALL_ERRORS[AuthenticationError] | error_codes.CALL_ERRORS[AccessDeniedError]
    assert known == set(error_codes.CALL_REMEDIES)
    for code, remedy in error_codes.CALL_REMEDIES.items():
        assert call_error(400, json.dumps([{"errorCode": code, "message": "x"}]).encode()).message.endswith(remedy)
    assert {len(remedies) for remedies in told} == {1}
    assert len({remedy for remedies in told for remedy in remedies}) == len(told)


def test_every_code_of_a_failed_row_is_described_under_what_it_becomes() -> None:
    documented = salesforce_errors("One record")
    gone = documented.pop("Records that are gone")
    assert gone == error_codes.ROW_GONE
    assert set().union(*documented.values()) | gone == error_codes.ROW_CODES
    for kind, listed in documented.items():
        for code in listed:
            error = row_error([{"statusCode": code, "message": "x", "fields": ["Name"]}])
            assert type(error).__name__ == kind, code
            assert not is_gone([{"statusCode": code, "message": "x", "fields": ["Name"]}])
    assert all(is_gone([{"statusCode": code, "message": "x", "fields": []}]) for code in gone)


def test_every_refusal_of_a_sign_in_is_described_under_what_it_becomes() -> None:
    documented = salesforce_errors("Signing in")
    assert documented.pop("GrantRefusedError") == set(oauth_refusals.GRANT_ADVICE)
    assert documented.pop("Policies of the org") == set(oauth_refusals.POLICY_ADVICE)
    listed = {code.lower() for found in documented.values() for code in found}
    assert listed == oauth_refusals.CODES - {oauth_refusals.GRANT}
    for kind, found in documented.items():
        assert {type(oauth_refusals.refusal_of(code, "")).__name__ for code in found} == {kind}


def test_every_failure_of_the_salesforce_cli_is_described_under_what_it_becomes() -> None:
    documented = salesforce_errors("The Salesforce CLI")
    assert set().union(*documented.values()) == {
        *error_codes.CLI_REMEDIES,
        *error_codes.CLI_LOGIN,
        *error_codes.CLI_NETWORK,
    }
    for kind, found in documented.items():
        assert {type(command_error(name, "", "")).__name__ for name in found} == {kind}


def test_crmsync_s_own_codes_about_salesforce_are_described() -> None:
    text = (REFERENCE / "salesforce-errors.md").read_text(encoding="utf-8")
    documented = {code for row in rows(text.split("\n## What crmsync itself finds\n")[1]) for code in codes(row[0])}
    sources = (ROOT / "src/crmsync/providers/salesforce").rglob("*.py")
    used = {code for path in sources for code in OWN_CODE.findall(path.read_text(encoding="utf-8"))}
    assert documented == used


def configuration(section: str) -> set[str]:
    return {name for row in rows(dict(sections("configuration.md"))[section]) for name in codes(row[0])}


@pytest.mark.parametrize(
    "section,model",
    [
        ("The file", ConfigFile),
        ("The vault", VaultSection),
        ("Runs", RunOptions),
        ("An integration", IntegrationSection),
        ("An object mapping", ObjectMapping),
        ("Matching", MatchKeys),
        ("A field mapping", FieldMapping),
        ("A computed field", ComputedField),
        ("A validation rule", ValidationRule),
    ],
)
def test_all_configuration_keys_are_described(section: str, model: type[BaseModel]) -> None:
    assert configuration(section) == set(model.model_fields)


def test_the_tables_of_types_are_those_of_the_code() -> None:
    text = type_tables.PAGE.read_text(encoding="utf-8")
    assert text == type_tables.regenerated(text), "run python -m tests.docs.type_tables"


def test_all_kinds_of_loss_and_all_answers_to_one_are_described() -> None:
    lost, answers = [rows(part) for part in re.split(r"\n\n(?=\| `on_loss`)", dict(sections("types.md"))["Losses"])]
    assert {name for row in lost for name in codes(row[0])} == set(LossKind)
    assert {name for row in answers for name in codes(row[0])} == set(OnLoss)


@pytest.mark.parametrize("group", list(GROUPS))
def test_the_tables_of_functions_are_made_of_the_code_and_each_has_an_example(group: str) -> None:
    section = dict(sections("expressions.md"))[group]
    assert [line for line in section.splitlines() if line.startswith("| `")] == list(function_rows(group))
    examples = "".join(section.split("```python\n")[1:])
    assert [each.name for each in GROUPS[group] if f"{each.name}(" not in examples] == []


def test_the_codes_of_expressions_are_described() -> None:
    listed = {code for row in rows(dict(sections("expressions.md"))["Codes of faults"]) for code in codes(row[0])}
    assert listed == set(ExpressionCode)


def test_all_options_of_a_csv_file_are_described() -> None:
    assert configuration("Local records") == set(inspect.signature(open_records).parameters)


def test_the_configuration_shown_is_valid(tmp_path: Path) -> None:
    text = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    path = tmp_path / "crmsync.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert load_config(path).mapping_problems == ()


def test_the_page_on_checks_of_a_mapping_is_made_of_the_code() -> None:
    page = (REFERENCE / "mapping-checks.md").read_text(encoding="utf-8")
    listed = [line for line in page.splitlines() if line.startswith("| `")]
    assert listed == list(reference_rows())
    assert set(MEANINGS) == set(MappingCode)


def test_the_published_schema_of_mapping_documents_is_that_of_the_code() -> None:
    """If not: ``crmsync mapping schema > docs/reference/mapping.schema.json``."""
    published = json.loads((REFERENCE / "mapping.schema.json").read_text(encoding="utf-8"))
    assert published == mapping_schema()
