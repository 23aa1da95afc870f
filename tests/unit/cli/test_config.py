"""The configuration file: what it accepts, and how it tells every fault at once without a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.cli.config import Config, absolute_url, load_config
from crmsync.cli.exits import UsageProblemError
from crmsync.models.mappings import ConflictPolicy
from crmsync.models.problems import Problem

GOOD = """
storage = "sqlite:///state/crmsync.db"
[vault]
key = "env:MY_KEY"
[local]
type = "csv"
path = "people.csv"
[run]
max_calls = 50
[[integrations]]
id = "acme"
provider = "salesforce"
settings = { instance_url = "https://acme.my.salesforce.com" }
credentials = { access_token = "env:SF_TOKEN", other = "vault" }
[integrations.objects.Contact]
policy = "manual"
[integrations.objects.Contact.fields]
email = "Email"
name = { crm_field = "LastName", policy = "local_wins" }
[[integrations.objects.Lead.fields]]
markmail_field = "email"
salesforce_field = "Email"
"""


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "crmsync.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def faults(tmp_path: Path, text: str) -> dict[str, Problem]:
    with pytest.raises(UsageProblemError) as caught:
        load(tmp_path, text)
    return {problem.path: problem for problem in caught.value.problems}


def test_a_whole_file_is_read_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert config.storage == f"sqlite:///{tmp_path}/state/crmsync.db"
    assert config.local_options("subscribers") == {"path": str(tmp_path / "people.csv")}
    assert config.vault_keys == ("env:MY_KEY",)
    assert config.content.run.max_calls == 50
    assert config.mapping_problems == ()


def test_field_mappings_are_read_in_the_short_form_and_as_tables(tmp_path: Path) -> None:
    objects = load(tmp_path, GOOD).objects["acme"]
    contact, lead = objects["Contact"].mapping, objects["Lead"].mapping
    assert contact is not None
    assert lead is not None
    assert contact.policy is ConflictPolicy.MANUAL
    assert [(f.markmail_field, f.crm_field, f.policy) for f in contact.fields] == [
        ("email", "Email", None),
        ("name", "LastName", ConflictPolicy.LOCAL_WINS),
    ]
    assert [(f.markmail_field, f.crm_field) for f in lead.fields] == [("email", "Email")]


def test_a_literal_credential_is_refused_and_never_shown(tmp_path: Path) -> None:
    text = GOOD.replace('"env:SF_TOKEN"', '"hunter2-secret"')
    found = faults(tmp_path, text)
    problem = found["integrations[0].credentials"]
    assert "env:NAME" in problem.message
    assert "hunter2" not in " ".join(map(str, found.values()))


def test_a_secret_among_the_settings_is_refused_and_never_shown(tmp_path: Path) -> None:
    text = GOOD.replace("settings = {", 'settings = { client_secret = "hunter2",')
    found = faults(tmp_path, text)
    assert "client_secret" in found["integrations[0].settings"].message
    assert "hunter2" not in " ".join(map(str, found.values()))


def test_a_literal_vault_key_is_refused_and_never_shown(tmp_path: Path) -> None:
    found = faults(tmp_path, GOOD.replace('"env:MY_KEY"', '"c2VjcmV0"'))
    assert "c2VjcmV0" not in str(found["vault.key"])


def test_every_fault_of_the_file_is_told_at_once_with_its_path(tmp_path: Path) -> None:
    text = GOOD.replace("max_calls = 50", 'max_cals = 50\npage_size = "many"')
    text = text.replace('id = "acme"', 'id = ""').replace('policy = "manual"', 'policy = "sometimes"')
    text = text.replace('name = { crm_field = "LastName"', "name = { crm_fild = 1")
    assert set(faults(tmp_path, text)) == {
        "run.max_cals",
        "run.page_size",
        "integrations[0].id",
        "integrations[0].objects.Contact.policy",
        "integrations[0].objects.Contact.fields.name.crm_fild",
        "integrations[0].objects.Contact.fields.name.crm_field",
    }


def test_an_unknown_key_suggests_the_nearest_known_one(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD.replace("max_calls", "max_cals"))["run.max_cals"].remedy == "did you mean max_calls?"


def test_faults_within_mappings_alone_wait_for_those_that_only_the_crm_can_tell(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD.replace('policy = "local_wins"', 'policy = "sometimes"'))
    assert [problem.path for problem in config.mapping_problems] == [
        "integrations[0].objects.Contact.fields.name.policy"
    ]
    mapping = config.objects["acme"]["Contact"].mapping
    assert mapping is not None
    assert [field.crm_field for field in mapping.fields] == ["Email", "LastName"]


def test_a_problem_of_a_mapping_gets_the_path_it_has_in_the_file(tmp_path: Path) -> None:
    section = load(tmp_path, GOOD).objects["acme"]["Contact"]
    located = section.located(Problem("fields[1].crm_field", "unknown_field", "is as fields[0]"))
    assert located.path == "integrations[0].objects.Contact.fields.name.crm_field"
    assert located.message == "is as fields.email"
    assert section.located(Problem("match", "x", "y")).path == "integrations[0].objects.Contact.match"


def test_an_object_without_fields_is_a_fault(tmp_path: Path) -> None:
    config = load(tmp_path, '[[integrations]]\nid="a"\nprovider="x"\n[integrations.objects.Contact]\npolicy="manual"\n')
    assert [problem.path for problem in config.mapping_problems] == ["integrations[0].objects.Contact.fields"]


def test_two_integrations_with_one_id_are_a_fault(tmp_path: Path) -> None:
    one = '[[integrations]]\nid = "a"\nprovider = "salesforce"\n'
    assert "same id" in next(iter(faults(tmp_path, one + one).values())).message


@pytest.mark.parametrize(
    "content, said",
    [
        (b'storage = "sqlite', "not valid TOML"),
        (b"a = 1\nb = ?", "not valid TOML (at line 2"),
        (b'storage = "\xe4"', "not UTF-8"),
    ],
)
def test_a_file_that_is_no_toml_is_one_clear_message(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "crmsync.toml"
    path.write_bytes(content)
    with pytest.raises(UsageProblemError) as caught:
        load_config(path)
    assert said in caught.value.message


def test_an_absent_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageProblemError, match="crmsync init"):
        load_config(tmp_path / "crmsync.toml")


def test_an_integration_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    one = '[[integrations]]\nid = "{}"\nprovider = "salesforce"\n'
    config = load(tmp_path, one.format("a") + one.format("b"))
    assert config.integration("b").id == "b"
    with pytest.raises(UsageProblemError, match="a, b"):
        config.integration(None)
    with pytest.raises(UsageProblemError, match="no integration 'c'"):
        config.integration("c")


@pytest.mark.parametrize(
    "url, absolute",
    [
        ("sqlite:///a.db", "sqlite:////base/a.db"),
        ("sqlite:///a.db?mode=ro", "sqlite:////base/a.db?mode=ro"),
        ("sqlite:////elsewhere/a.db", "sqlite:////elsewhere/a.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://host/db", "postgresql://host/db"),
        ("memory://", "memory://"),
    ],
)
def test_only_relative_sqlite_paths_are_made_absolute(url: str, absolute: str) -> None:
    assert absolute_url(url, Path("/base")) == absolute
