"""Keys come from where a reference says, and a source that can be changed is changed wholly or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.errors import ConfigurationError, UnknownProviderError
from crmsync.protocols.keys import SupportsKeyChanges
from crmsync.registry import KEYS, Registry
from crmsync.security.keys.combined import CombinedKeys, changeable
from crmsync.security.keys.environment import EnvironmentKeys
from crmsync.security.keys.file import FileKeys
from crmsync.security.keys.file import _check as check_owner
from crmsync.security.keys.local import LocalKey
from crmsync.security.vault import Vault


@pytest.fixture
def variable() -> Iterator[str]:
    name = f"CRMSYNC_TEST_{uuid.uuid4().hex}"
    yield name
    os.environ.pop(name, None)


@pytest.fixture(params=["file", "os_keyring"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "file":
        return FileKeys(tmp_path / "keys")
    from tests.unit.security.keys.ring import ring_keys  # the keyring is an extra

    return ring_keys()


def ids(source: Any) -> list[str]:
    return [key.id for key in source.load()]


def test_every_kind_of_reference_is_offered_by_an_entry_point() -> None:
    assert {"env", "file", "keyring", "aws-kms"} <= set(Registry().names(KEYS))
    with pytest.raises(UnknownProviderError, match="vaultwarden"):
        Registry().key_source("vaultwarden:x")


def test_keys_are_added_last_moved_to_the_front_and_taken_out(source: Any) -> None:
    assert isinstance(source, SupportsKeyChanges)
    first, second, third = (source.generate() for _ in range(3))
    assert ids(source) == [first, second, third]
    source.promote(third)
    assert ids(source) == [third, first, second]
    source.remove(first)
    assert ids(source) == [third, second]
    for refused in (source.promote, source.remove):
        with pytest.raises(ConfigurationError, match=f"no key {first!r}"):
            refused(first)
    source.remove(second)
    with pytest.raises(ConfigurationError, match="the only key"):
        source.remove(third)
    assert ids(source) == [third]


def test_a_source_without_keys_says_how_to_make_one(source: Any, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=r"crmsync (init|keys generate)"):
        source.load()
    with pytest.raises(ConfigurationError, match=variable):
        EnvironmentKeys(variable).load()


def test_a_variable_may_hold_several_keys(variable: str) -> None:
    keys = [LocalKey.generate() for _ in range(2)]
    os.environ[variable] = ", ".join(key.reveal() for key in keys)
    assert ids(EnvironmentKeys(variable)) == [key.id for key in keys]


def test_only_a_source_that_can_be_written_is_changed(tmp_path: Path, variable: str) -> None:
    file = FileKeys(tmp_path / "keys")
    assert changeable(EnvironmentKeys(variable)) is None
    assert changeable(CombinedKeys([file, EnvironmentKeys(variable)])) is file
    assert changeable(CombinedKeys([EnvironmentKeys(variable), file])) is None


def test_a_key_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    FileKeys(file).generate()
    assert file.stat().st_mode & 0o777 == 0o600
    assert repr(Vault.from_file(file)).startswith("Vault(current=")
    for mode in (0o640, 0o604, 0o620):
        file.chmod(mode)
        with pytest.raises(ConfigurationError, match="chmod 600"):
            Vault.from_file(file)


def test_a_key_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """Root's own process may not trust it either: its owner can put another key in."""
    key_file = tmp_path / "keys"
    FileKeys(key_file).generate()
    mode, inode, device, links, owner, *rest = key_file.stat()[:10]
    check_owner(key_file, os.stat_result((mode, inode, device, links, owner, *rest)))
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        check_owner(key_file, os.stat_result((mode, inode, device, links, owner + 12_345, *rest)))


def test_a_key_file_may_have_comments_and_blank_lines(tmp_path: Path) -> None:
    file, key = tmp_path / "keys", LocalKey.generate()
    file.write_text(f"# made by the platform\n\n{key.reveal()}\n", encoding="ascii")
    file.chmod(0o600)
    assert ids(FileKeys(file)) == [key.id]


def test_two_commands_do_not_change_a_key_file_at_once(tmp_path: Path) -> None:
    source = FileKeys(tmp_path / "keys")
    first = source.generate()
    other = tmp_path / "keys.new"
    other.touch()
    with pytest.raises(ConfigurationError, match="another command is changing"):
        source.generate()
    other.unlink()
    assert ids(source) == [first]
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
