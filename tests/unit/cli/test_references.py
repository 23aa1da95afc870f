"""References to secrets are followed, and a secret that cannot be had says where it should be."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync.cli.exits import UsageProblemError
from crmsync.cli.references import from_environment, key_source
from crmsync.errors import ConfigurationError
from crmsync.registry import Registry
from crmsync.security.vault import Vault


@pytest.fixture
def variable() -> Iterator[str]:
    """The name of an environment variable of this test alone."""
    name = f"CRMSYNC_TEST_{uuid.uuid4().hex}"
    yield name
    os.environ.pop(name, None)


def key_file(tmp_path: Path, mode: int) -> Path:
    path = tmp_path / "crmsync.key"
    path.write_text(Vault.generate_key(), encoding="ascii")
    path.chmod(mode)
    return path


def vault_of(*references: str) -> Vault:
    return Vault(key_source(references, Registry()))


def test_a_credential_comes_from_the_environment_and_one_in_the_vault_is_left_out(variable: str) -> None:
    os.environ[variable] = " token "
    found = from_environment({"access_token": f"env:{variable}", "other": "vault"})
    assert {name: value.get_secret_value() for name, value in found.items()} == {"access_token": "token"}


def test_a_variable_that_is_not_set_is_named(variable: str) -> None:
    with pytest.raises(UsageProblemError, match=variable):
        from_environment({"access_token": f"env:{variable}"})


def test_the_vault_opens_with_a_key_from_a_file_or_the_environment(tmp_path: Path, variable: str) -> None:
    path = key_file(tmp_path, 0o600)
    os.environ[variable] = path.read_text(encoding="ascii")
    sealed = vault_of(f"file:{path}").encrypt(b"x", integration_id="a", purpose="b")
    assert vault_of(f"env:{variable}").decrypt(sealed, integration_id="a", purpose="b") == b"x"


def test_an_absent_key_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="crmsync keys generate"):
        vault_of(f"file:{tmp_path / 'none.key'}")


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="chmod 600"):
        vault_of(f"file:{key_file(tmp_path, 0o644)}")
