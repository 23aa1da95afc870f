"""Keys in the system's keyring: what is its own; the rest is held by the tests of all sources."""

from __future__ import annotations

import pytest

from crmsync.errors import ConfigurationError
from crmsync.security.keys.os_keyring import KeyringKeys
from tests.unit.security.keys.ring import DictRing


def test_a_locked_keyring_is_named_and_its_words_are_not_repeated() -> None:
    ring = DictRing()
    source = KeyringKeys("test", backend=ring)
    ring.locked = True
    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        source.generate()
    assert "quotes" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_keyring_entry_has_a_name() -> None:
    with pytest.raises(ConfigurationError, match="keyring:production"):
        KeyringKeys("")
