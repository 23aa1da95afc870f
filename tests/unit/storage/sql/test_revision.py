"""A database that is current is opened as it is; any other is brought to this crmsync's revision first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OPENING = """
import sys
import anyio
from crmsync.registry import STORAGE, Registry

async def opening():
    async with Registry().load(STORAGE, "sqlite")(sys.argv[1]) as repository:
        assert await repository.list_integrations() == []

anyio.run(opening)
print("alembic" in sys.modules)
"""


def migrates(url: str) -> bool:
    """Whether a process that opens this storage imports what migrates databases."""
    done = subprocess.run([sys.executable, "-c", OPENING, url], capture_output=True, text=True, check=True)
    return {"True": True, "False": False}[done.stdout.strip()]


def test_a_current_database_is_opened_without_what_migrates_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'crm.db'}"
    assert [migrates(url), migrates(url)] == [True, False]
