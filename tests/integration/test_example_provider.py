"""The example of a third party's provider: built, installed and tested as its author would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "crmsync-jsonfile"

LISTING = """
import sys
from crmsync.registry import PROVIDERS, Registry
registry = Registry()
names = registry.names(PROVIDERS)
assert not any(name.startswith("crmsync_jsonfile") for name in sys.modules), "listing imported the provider"
print(names, registry.origin(PROVIDERS, "jsonfile"), registry.provider("jsonfile").name, sep="|")
"""

SYNC = """
import sys, anyio
from crmsync.security.vault import Vault
from crmsync.service import CRMSync
from crmsync.testing.memory_records import MemoryRecordStore

async def main():
    local = MemoryRecordStore("subscribers")
    local.add(email="ada@example.com", last_name="Lovelace", tags=("vip",))
    async with CRMSync.open("memory://", vault=Vault.from_key(Vault.generate_key())) as app:
        await app.add_integration("demo", provider="jsonfile", settings={"path": sys.argv[1]}, credentials={})
        await app.sync("demo", "Person", local)
        report = await app.sync("demo", "Person", local)
    print(len(local), report.status)

anyio.run(main, backend="trio")
"""


def run(*command: str | Path, path: Path | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with what is installed here, and with a folder of packages before that."""
    environment = os.environ | {"PYTHONPATH": str(path) if path else "", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the example's wheel is installed."""
    folder = tmp_path_factory.mktemp("example")
    built = run("-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist", cwd=EXAMPLE)
    assert built.returncode == 0, built.stderr
    [wheel] = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_registry_lists_and_loads_it(installed: Path, tmp_path: Path) -> None:
    done = run("-c", LISTING, path=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names, origin, name = done.stdout.strip().split("|")
    assert {"jsonfile", "memory", "salesforce"} <= set(json.loads(names.replace("'", '"')))
    assert (origin, name) == ("crmsync-jsonfile 1.0.0", "jsonfile")


def test_it_passes_the_contracts(installed: Path, tmp_path: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", "-c", EXAMPLE / "pyproject.toml", "--rootdir", tmp_path)
    done = run("-m", "pytest", *options, EXAMPLE / "tests", path=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_it_syncs_by_its_name(installed: Path, tmp_path: Path) -> None:
    crm = tmp_path / "crm.json"
    crm.write_text('{"people": {"p1": {"email": "bob@example.com", "last_name": "Bob"}}}', encoding="utf-8")
    done = run("-c", SYNC, crm, path=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2 success"
    people = json.loads(crm.read_text(encoding="utf-8"))["people"].values()
    held = {person["email"]: (person["last_name"], person.get("tags")) for person in people}
    assert held == {"bob@example.com": ("Bob", None), "ada@example.com": ("Lovelace", ["vip"])}
    assert all(person["markmail_id"] for person in people)
