from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest

from crmsync.cli.config_edit import rewrite_integration

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
