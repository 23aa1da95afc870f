from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from crmsync.cli.config_edit import rewrite_integration, rewrite_objects
from crmsync.cli.object_mappings import parse_object
from crmsync.models.mappings import MatchKeys, ObjectMapping, two_way

TEXT = """\
# head
storage = "sqlite:///crmsync.db"

[[integrations]]
id = "other" # not this one
provider = "memory"

[[integrations]]
id = "acme"
provider = "salesforce"

[integrations.settings]
# where it is
instance_url = "https://YOUR-DOMAIN.my.salesforce.com" # My Domain
timeout = 30

[integrations.credentials]
# "env:NAME" or "vault"
access_token = "env:SF_TOKEN"

[integrations.objects.Contact.fields]
email = "Email"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "crmsync.toml"
    file.write_text(TEXT, encoding="utf-8")
    file.chmod(0o640)
    return file


def test_what_is_not_concerned_stays_as_it_is_written(path: Path) -> None:
    settings = {"instance_url": "https://acme.my.salesforce.com", "timeout": 30}
    assert rewrite_integration(path, "acme", settings=settings, credentials={"refresh_token": "vault"})
    expected = TEXT.replace("YOUR-DOMAIN", "acme").replace(
        'access_token = "env:SF_TOKEN"\n', 'refresh_token = "vault"\n'
    )
    after = path.read_text(encoding="utf-8")
    assert tomllib.loads(after) == tomllib.loads(expected)
    assert [line for line in TEXT.splitlines() if "#" in line and "YOUR" not in line] == [
        line for line in after.splitlines() if "#" in line and "My Domain" not in line
    ]
    assert "# My Domain" in after
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [file.name for file in path.parent.iterdir()] == ["crmsync.toml"]


def test_tables_that_are_not_there_are_made(path: Path) -> None:
    assert rewrite_integration(path, "other", settings={"sf": {"org": "dev"}}, credentials={"a": "vault"})
    section = tomllib.loads(path.read_text(encoding="utf-8"))["integrations"][0]
    assert section["settings"] == {"sf": {"org": "dev"}}
    assert section["credentials"] == {"a": "vault"}


def test_nothing_is_written_where_nothing_changes(path: Path) -> None:
    before = path.stat().st_mtime_ns
    assert not rewrite_integration(path, "acme", settings={"timeout": 30}, credentials={"access_token": "env:SF_TOKEN"})
    assert path.stat().st_mtime_ns == before


def test_an_object_mapping_is_written_beside_what_is_there(path: Path) -> None:
    mapping = ObjectMapping(
        fields=(two_way("email", "Email"), two_way("last name", "LastName", required=True, value_map={"a": "b"})),
        match=MatchKeys(local_email=""),
        history_days=30,
    )
    assert rewrite_objects(path, "acme", {"Contact": mapping, "Lead": mapping}) == ("Lead",)
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    objects = content["integrations"][1]["objects"]
    assert objects["Contact"] == {"fields": {"email": "Email"}}
    assert parse_object(objects["Lead"], "").mapping == mapping
    assert "# My Domain" in path.read_text(encoding="utf-8")
    assert rewrite_objects(path, "acme", {"Contact": mapping}, replace=True) == ("Contact",)
    replaced = tomllib.loads(path.read_text(encoding="utf-8"))["integrations"][1]["objects"]
    assert parse_object(replaced["Contact"], "").mapping == parse_object(replaced["Lead"], "").mapping == mapping


def test_a_local_field_that_is_mapped_twice_is_written_twice(path: Path) -> None:
    there = two_way("name", "FirstName", sync_direction="to_crm")
    mapping = ObjectMapping(fields=(there, two_way("name", "Name", sync_direction="from_crm")))
    rewrite_objects(path, "other", {"Contact": mapping})
    written = tomllib.loads(path.read_text(encoding="utf-8"))["integrations"][0]["objects"]["Contact"]
    assert parse_object(written, "").mapping == mapping
