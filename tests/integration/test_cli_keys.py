"""Keys at the command line: rotated under running syncs, killed in the middle, retired once nothing needs them."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from crmsync import CRMSync, Vault
from crmsync.security.keys.file import FileKeys
from tests.integration.shell import Shell, rows, shell
from tests.postgres import new_database

ROTATE = textwrap.dedent("""
    import sys

    import anyio

    from crmsync import CRMSync, Vault

    class SmallPages(CRMSync):
        _page_size = 2

    async def work() -> None:
        async with SmallPages.open(sys.argv[1], vault=Vault.from_file(sys.argv[2])) as crm:
            await crm.rotate_keys(to=sys.argv[3], progress=lambda seen: print(seen, flush=True))

    anyio.run(work)
""")
MANY = 40


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    with shell(tmp_path) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'state.db'}"
        return
    # What is checked is every secret of a database, so it must be nobody else's.
    with new_database(request.getfixturevalue("postgres_url")) as url:
        yield url


def test_a_key_is_generated_rotated_to_and_the_old_one_retired(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    [old] = sh.run("keys", "list", "--format", "json").json["keys"]
    assert (old["first"], old["present"], old["secrets"]) == (True, True, 1)
    new = sh.run("keys", "generate", "--format", "json").json["key_id"]
    refused = sh.run("keys", "retire", old["id"])
    assert refused.code == 2
    assert "the key in use" in refused.err
    rotated = sh.run("keys", "rotate", "--to", new, "--format", "json").json
    assert rotated == {"key_id": new, "rewrapped": 1, "unchanged": 0, "faults": {}}
    assert "not used" in sh.run("keys", "list").out
    assert sh.run("keys", "retire", old["id"], "--format", "json").json == {"key_id": old["id"], "removed": True}
    assert [key["id"] for key in sh.run("keys", "list", "--format", "json").json["keys"]] == [new]
    assert sh.run("keys", "check").out.strip() == "1 of 1 stored secrets open"
    written = [one["action"] for one in sh.run("audit", "list", "--format", "json").json["entries"]]
    assert [one for one in written if one.startswith("key")] == [
        "key.generated",
        "keys.rotated",
        "keys.rotated",
        "key.retired",
    ]
    again = sh.run("sync", "--format", "json")
    assert again.json["runs"][0]["written"] == 0, "the shadows' digests would not fit"


def test_the_first_key_of_all_is_made_where_there_is_none(sh: Shell) -> None:
    file = sh.directory / "crmsync.key"
    file.unlink()
    made = sh.run("keys", "generate", "--format", "json").json["key_id"]
    assert [key.id for key in FileKeys(file).load()] == [made]
    file.chmod(0o644)
    refused = sh.run("keys", "generate")
    assert (refused.code, "chmod 600" in refused.err) == (2, True)
    file.chmod(0o600)
    assert sh.run("sync").code == 0


def test_a_lost_key_is_an_error_that_names_it_and_loses_nothing(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    key = sh.directory / "crmsync.key"
    kept = key.read_text(encoding="ascii")
    key.write_text(Vault.generate_key(), encoding="ascii")
    lost = Vault.from_key(kept).key_ids[0]
    listed = sh.run("keys", "list")
    assert (listed.code, "MISSING" in listed.out) == (1, True)
    for command in (["sync"], ["plan"], ["connect", "--test"], ["disconnect"]):
        failed = sh.run(*command)
        assert failed.code == 2
        assert f"needs the vault key {lost}" in failed.err
    assert sh.run("keys", "check").code == 1
    assert sh.run("keys", "rotate").code == 3
    key.write_text(kept, encoding="ascii")
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


def test_an_environment_s_secrets_do_not_open_in_another(sh: Shell) -> None:
    config = sh.directory / "crmsync.toml"
    text = config.read_text(encoding="utf-8")
    production = text.replace("[vault]", '[vault]\nenvironment = "production"')
    config.write_text(production, encoding="utf-8")
    assert sh.run("sync").code == 0
    config.write_text(production.replace('"production"', '"staging"'), encoding="utf-8")
    refused = sh.run("sync")
    assert refused.code == 2
    assert "of the environment 'production', and this vault of 'staging'" in refused.err
    listed = sh.run("keys", "list", "--format", "json").json
    assert (listed["environment"], listed["foreign"]) == ("staging", 1)


def test_keys_of_the_environment_are_made_by_hand(sh: Shell) -> None:
    config = sh.directory / "crmsync.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("file:crmsync.key", "env:A_KEY"), encoding="utf-8")
    old, new = (sh.run("keys", "generate", "--show").out.strip() for _ in range(2))
    assert sh.run("sync", A_KEY=old).code == 0
    refused = sh.run("keys", "generate", A_KEY=old)
    assert (refused.code, "make one there" in refused.err) == (2, True)
    assert sh.run("keys", "rotate", A_KEY=f"{new},{old}").code == 0
    unused = Vault.from_key(old).key_ids[0]
    assert "yourself" in sh.run("keys", "retire", unused, A_KEY=f"{new},{old}").out
    assert sh.run("keys", "check", A_KEY=new).code == 0


def test_a_sync_that_is_under_way_goes_on_while_keys_are_rotated_and_retired(sh: Shell) -> None:
    assert sh.run("sync").code == 0
    old = sh.run("keys", "list", "--format", "json").json["keys"][0]["id"]
    lines = rows(sh.directory / "people.csv")
    (sh.directory / "people.csv").write_text(
        "\n".join([*lines, "9,new@example.org,New,Person,,", ""]), encoding="utf-8"
    )
    calls = sh.emulator.org.api_calls
    sh.emulator.org.faults.latency = 0.2
    with subprocess.Popen(
        sh.command("sync"), cwd=sh.directory, env=sh.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        while sh.emulator.org.api_calls == calls:
            assert process.poll() is None
            time.sleep(0.01)
        new = sh.run("keys", "generate", "--format", "json").json["key_id"]
        assert sh.run("keys", "rotate", "--to", new).code == 0
        assert sh.run("keys", "retire", old).code == 0
        assert process.poll() is None, "the sync was to be under way meanwhile"
        out, _ = process.communicate(timeout=60)
    sh.emulator.org.faults.latency = 0
    assert process.returncode == 0, out
    assert any(contact["Email"] == "new@example.org" for contact in sh.contacts())
    assert sh.run("sync", "--format", "json").json["runs"][0]["written"] == 0


def test_a_rotation_that_is_killed_loses_nothing_and_is_finished_by_the_next(storage: str, tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    old, new = keys.generate(), keys.generate()
    anyio.run(add_many, storage, keys)
    command = [sys.executable, "-c", ROTATE, storage, str(tmp_path / "keys"), new]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= MANY // 2:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    halfway, rewrapped, after = anyio.run(finish, storage, keys)
    assert 0 < halfway[new] < MANY
    assert halfway[old] + halfway[new] == MANY
    assert rewrapped == halfway[old]
    assert after == {new: MANY, old: 0}


async def add_many(storage: str, keys: FileKeys) -> None:
    async with CRMSync.open(storage, vault=Vault(keys)) as crm:
        for number in range(MANY):
            await crm.add_integration(
                f"{number:03}", provider="memory", settings={}, credentials={"token": f"token of {number}"}
            )


async def finish(storage: str, keys: FileKeys) -> tuple[dict[str, int], int, dict[str, int]]:
    async with CRMSync.open(storage, vault=Vault(keys)) as crm:
        assert (await crm.check_keys()).faults == {}
        halfway = {key.id: key.secrets for key in (await crm.keys()).keys}
        done = await crm.rotate_keys()
        after = {key.id: key.secrets for key in (await crm.keys()).keys}
        for number in range(MANY):
            held = await crm.credentials(f"{number:03}")
            assert held["token"].get_secret_value() == f"token of {number}"
        return halfway, done.rewrapped, after
