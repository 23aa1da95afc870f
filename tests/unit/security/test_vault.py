"""What is sealed opens for its owner alone, and nothing shows a key."""

from __future__ import annotations

import base64
import copy
import os
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from crmsync.errors import ConfigurationError, VaultError
from crmsync.security.envelope import Envelope, joined
from crmsync.security.keys.combined import CombinedKeys
from crmsync.security.keys.file import FileKeys
from crmsync.security.keys.local import GivenKeys, LocalKey
from crmsync.security.vault import Vault

OWN: Any = {"integration_id": "acme", "purpose": "credentials"}


def vault(**options: str) -> Vault:
    return Vault.from_key(Vault.generate_key(), **options)


def test_what_is_sealed_opens_again_also_under_an_older_key() -> None:
    old, new = Vault.generate_key(), Vault.generate_key()
    sealed = Vault.from_key(old).encrypt(b"token", **OWN)
    rotated = Vault.from_key(new, old)
    assert rotated.decrypt(sealed, **OWN) == b"token"
    assert "token" not in sealed


@given(st.binary(max_size=300), st.text(max_size=64), st.text(max_size=64), st.text("aé", max_size=8))
def test_anything_opens_again_for_whom_it_was_sealed(
    content: bytes, integration_id: str, purpose: str, environment: str
) -> None:
    ours = vault(environment=environment)
    sealed = ours.encrypt(content, integration_id=integration_id, purpose=purpose)
    assert ours.decrypt(sealed, integration_id=integration_id, purpose=purpose) == content
    again = ours.encrypt(content[::-1], integration_id=integration_id, purpose=purpose, previous=sealed)
    assert ours.decrypt(again, integration_id=integration_id, purpose=purpose) == content[::-1]


@pytest.mark.parametrize(
    "integration, purpose", [("other", "credentials"), ("acme", "export"), ("acm", "ecredentials")]
)
def test_a_text_that_was_moved_does_not_open(integration: str, purpose: str) -> None:
    ours = vault()
    sealed = ours.encrypt(b"token", **OWN)
    with pytest.raises(VaultError, match="belongs to another") as caught:
        ours.decrypt(sealed, integration_id=integration, purpose=purpose)
    assert caught.value.reason == "damaged"


def test_no_part_of_a_text_opens_within_the_text_of_another_integration() -> None:
    ours = vault()
    mine, theirs = (
        Envelope.parse(ours.encrypt(b"x", integration_id=one, purpose="credentials")) for one in ("acme", "umbrella")
    )
    for grafted in (
        attrs.evolve(mine, wrapped=theirs.wrapped),
        attrs.evolve(mine, nonce=theirs.nonce, content=theirs.content),
        attrs.evolve(theirs),
    ):
        with pytest.raises(VaultError, match="belongs to another"):
            ours.decrypt(grafted.text(), **OWN)


@given(st.data())
def test_a_text_with_any_byte_changed_or_cut_off_does_not_open(data: st.DataObject) -> None:
    ours = vault(environment="production")
    blob = bytearray(base64.urlsafe_b64decode(ours.encrypt(b"token", **OWN) + "=="))
    if data.draw(st.booleans()):
        blob = blob[: data.draw(st.integers(0, len(blob) - 1))]
    else:
        blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VaultError):
        ours.decrypt(base64.urlsafe_b64encode(blob).decode().rstrip("="), **OWN)


def test_a_changed_text_and_a_missing_key_are_told_apart() -> None:
    ours = vault()
    sealed = ours.encrypt(b"token", **OWN)
    changed = sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB")
    with pytest.raises(VaultError, match="was changed"):
        ours.decrypt(changed, **OWN)
    with pytest.raises(VaultError, match=f"needs the vault key {ours.key_ids[0]}.*bring that key back") as caught:
        vault().decrypt(sealed, **OWN)
    assert caught.value.reason == "missing_key"
    with pytest.raises(VaultError, match="newer crmsync"):
        ours.decrypt("_w", **OWN)


def test_the_text_of_one_environment_does_not_open_in_another_with_the_same_key() -> None:
    key = Vault.generate_key()
    production, staging, neither = (Vault.from_key(key, environment=name) for name in ("production", "staging", ""))
    sealed = production.encrypt(b"token", **OWN)
    with pytest.raises(VaultError, match=r"environment 'production', and this vault of 'staging'") as caught:
        staging.decrypt(sealed, **OWN)
    assert caught.value.reason == "environment"
    with pytest.raises(VaultError, match="of no environment"):
        neither.decrypt(sealed, **OWN)
    relabelled = attrs.evolve(Envelope.parse(sealed), environment="staging").text()
    with pytest.raises(VaultError, match="was changed"):
        staging.decrypt(relabelled, **OWN)
    stripped = attrs.evolve(Envelope.parse(sealed), environment="").text()
    with pytest.raises(VaultError, match="was changed"):
        staging.decrypt(stripped, **OWN)


def test_a_text_without_an_environment_opens_in_any_until_it_is_rotated() -> None:
    key = Vault.generate_key()
    sealed = Vault.from_key(key).encrypt(b"token", **OWN)
    production = Vault.from_key(key, environment="production")
    assert production.decrypt(sealed, **OWN) == b"token"
    assert not production.is_current(sealed)
    bound = production.rewrap(sealed, **OWN)
    assert production.decrypt(bound, **OWN) == b"token"
    with pytest.raises(VaultError, match="of no environment"):
        Vault.from_key(key).decrypt(bound, **OWN)


def old_text(key: bytes, content: bytes, integration_id: str, purpose: str) -> str:
    """A text of format 1, made by the letter of its description."""
    key_id = LocalKey(key).id
    bound = b"crmsync\0\x01\0" + key_id.encode() + b"\0" + integration_id.encode() + b"\0" + purpose.encode()
    data_key, wrap_nonce, nonce = os.urandom(32), os.urandom(12), os.urandom(12)
    wrapped = AESGCM(key).encrypt(wrap_nonce, data_key, bound)
    sealed = AESGCM(data_key).encrypt(nonce, content, bound)
    blob = b"\x01" + bytes.fromhex(key_id) + wrap_nonce + wrapped + nonce + sealed
    return base64.urlsafe_b64encode(blob).rstrip(b"=").decode()


def test_a_text_of_the_old_format_is_read_and_rotated_into_the_new_one() -> None:
    key = os.urandom(32)
    sealed = old_text(key, b"token", "acme", "credentials")
    ours = Vault(GivenKeys([LocalKey(key)]))
    assert ours.decrypt(sealed, **OWN) == b"token"
    with pytest.raises(VaultError, match="belongs to another"):
        ours.decrypt(sealed, integration_id="other", purpose="credentials")
    rotated = ours.rewrap(sealed, **OWN)
    assert Envelope.parse(rotated).format == 2
    assert ours.decrypt(rotated, **OWN) == b"token"
    assert ours.decrypt(ours.encrypt(b"next", previous=sealed, **OWN), **OWN) == b"next"


def test_the_format_is_as_the_reference_says_byte_by_byte() -> None:
    """Opened by hand, with nothing of ours but the order of the parts."""
    key = os.urandom(32)
    sealed = Vault(GivenKeys([LocalKey(key)]), environment="prod").encrypt(b"token", **OWN)
    blob = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    key_id = LocalKey(key).id

    def field(text: str) -> bytes:
        return len(text.encode()).to_bytes(4, "big") + text.encode()

    assert blob[:6] == b"\x02\x04prod"
    assert blob[6:23] == b"\x10" + key_id.encode()
    assert blob[23:25] == (60).to_bytes(2, "big")
    wrapping = ["crmsync data key", key_id]
    wrapping += ["crmsync:environment", "prod", "crmsync:integration", "acme", "crmsync:use", "data key"]
    data_key = AESGCM(key).decrypt(blob[25:37], blob[37:85], b"".join(map(field, wrapping)))
    bound = b"".join(map(field, ["crmsync content", "2", "prod", "acme", "credentials"]))
    assert AESGCM(data_key).decrypt(blob[85:97], blob[97:], bound) == b"token"


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_what_texts_are_bound_to_is_told_apart(one: list[str], other: list[str]) -> None:
    assert (joined(*one) == joined(*other)) == (one == other)


def test_rotating_replaces_the_wrapped_data_key_and_leaves_the_content() -> None:
    old, new = Vault.generate_key(), Vault.generate_key()
    sealed = Vault.from_key(old).encrypt(b"token", **OWN)
    both = Vault.from_key(new, old)
    rotated = both.rewrap(sealed, **OWN)
    before, after = Envelope.parse(sealed), Envelope.parse(rotated)
    assert (after.nonce, after.content) == (before.nonce, before.content)
    assert (before.key_id, after.key_id) == (both.key_ids[1], both.key_ids[0])
    assert Vault.from_key(new).decrypt(rotated, **OWN) == b"token"
    assert both.rewrap(rotated, **OWN) == rotated
    assert both.is_current(rotated)
    renewed = both.rewrap(rotated, renew=True, **OWN)
    assert Envelope.parse(renewed).wrapped != after.wrapped
    assert both.decrypt(renewed, **OWN) == b"token"


def test_a_text_that_does_not_open_is_never_rewrapped() -> None:
    old, new = Vault.generate_key(), Vault.generate_key()
    sealed = Vault.from_key(old).encrypt(b"token", **OWN)
    damaged = attrs.evolve(Envelope.parse(sealed), content=bytes(21)).text()
    with pytest.raises(VaultError, match="was changed"):
        Vault.from_key(new, old).rewrap(damaged, **OWN)


def test_what_replaces_a_text_has_its_data_key_under_the_same_key_and_another_nonce() -> None:
    """So that a process that does not have a new key yet can read what one that has it writes."""
    old, new = Vault.generate_key(), Vault.generate_key()
    sealed = Vault.from_key(old).encrypt(b"token", **OWN)
    replaced = Vault.from_key(new, old).encrypt(b"token", previous=sealed, **OWN)
    assert Vault.from_key(old).decrypt(replaced, **OWN) == b"token"
    before, after = Envelope.parse(sealed), Envelope.parse(replaced)
    assert after.wrapped == before.wrapped
    assert after.nonce != before.nonce


def test_a_key_that_was_added_to_the_source_is_found_by_a_vault_that_is_open(tmp_path: Path) -> None:
    source = FileKeys(tmp_path / "keys")
    source.generate()
    running = Vault(source)
    source.promote(source.generate())
    sealed = Vault.from_file(tmp_path / "keys").encrypt(b"token", **OWN)
    assert Envelope.parse(sealed).key_id not in running.key_ids
    assert running.decrypt(sealed, **OWN) == b"token"
    assert Envelope.parse(running.encrypt(b"new", **OWN)).key_id == Envelope.parse(sealed).key_id


def test_several_sources_are_one_whose_first_key_encrypts() -> None:
    keys = [LocalKey.generate() for _ in range(3)]
    both = Vault(CombinedKeys([GivenKeys(keys[:1]), GivenKeys(keys[1:])]))
    assert both.key_ids == tuple(key.id for key in keys)
    assert both.decrypt(Vault(GivenKeys(keys[2:])).encrypt(b"x", **OWN), **OWN) == b"x"


def test_no_key_is_shown_or_pickled() -> None:
    key = Vault.generate_key()
    ours = Vault.from_key(key)
    for one in (ours, LocalKey.parse(key), ours.source):
        assert key.rstrip("=") not in repr(one)
    for secret in (ours, LocalKey.parse(key)):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret)
        with pytest.raises(TypeError, match="not pickled"):
            copy.deepcopy(secret)


@pytest.mark.parametrize("text", ["", "short", "not base64 !!"])
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes") as caught:
        Vault.from_key(text)
    assert not text or text not in str(caught.value)


def test_the_name_of_an_environment_is_short() -> None:
    with pytest.raises(ConfigurationError, match="64 bytes"):
        vault(environment="e" * 65)
