"""What is sealed opens for its owner alone, and nothing shows a key."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from crmsync.errors import ConfigurationError
from crmsync.security.vault import Vault


def test_what_is_sealed_opens_again_also_under_an_older_key() -> None:
    old, new = Vault.generate_key(), Vault.generate_key()
    sealed = Vault.from_key(old).encrypt(b"token", integration_id="acme", purpose="credentials")
    rotated = Vault.from_key(new, old)
    assert rotated.decrypt(sealed, integration_id="acme", purpose="credentials") == b"token"
    assert "token" not in sealed


@pytest.mark.parametrize("integration, purpose", [("other", "credentials"), ("acme", "export")])
def test_a_text_that_was_moved_does_not_open(integration: str, purpose: str) -> None:
    vault = Vault.from_key(Vault.generate_key())
    sealed = vault.encrypt(b"token", integration_id="acme", purpose="credentials")
    with pytest.raises(ConfigurationError, match="belongs to another"):
        vault.decrypt(sealed, integration_id=integration, purpose=purpose)


def test_a_changed_text_and_a_missing_key_are_told_apart() -> None:
    vault = Vault.from_key(Vault.generate_key())
    sealed = vault.encrypt(b"token", integration_id="acme", purpose="p")
    changed = sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")
    with pytest.raises(ConfigurationError, match="was changed"):
        vault.decrypt(changed, integration_id="acme", purpose="p")
    with pytest.raises(ConfigurationError, match="needs the vault key"):
        Vault.from_key(Vault.generate_key()).decrypt(sealed, integration_id="acme", purpose="p")


def test_no_key_is_shown_or_pickled() -> None:
    key = Vault.generate_key()
    vault = Vault.from_key(key)
    assert key.rstrip("=") not in repr(vault)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(vault)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(Vault.generate_key())
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Vault.from_file(file)
    file.chmod(0o600)
    assert repr(Vault.from_file(file)).startswith("Vault(current=")


@pytest.mark.parametrize("text", ["", "short", "not base64 !!"])
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes") as caught:
        Vault.from_key(text)
    assert not text or text not in str(caught.value)
