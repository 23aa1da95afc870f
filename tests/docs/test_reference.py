"""The reference says what the code says."""

from __future__ import annotations

import re

import pytest

from crmsync.storage.sql.tables import metadata
from tests.docs.documents import ROOT

REFERENCE = ROOT / "docs" / "reference"


def sections(page: str) -> list[tuple[str, str]]:
    """Each section of a page: its heading, and its text."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    return re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)


def rows(text: str) -> list[list[str]]:
    """The cells of every table row below its header."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return [row for row in cells[1:] if not set(row[0]) <= {"-"}]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize("table,text", sections("tables.md"))
def test_the_tables_have_these_columns(table: str, text: str) -> None:
    documented = [name for row in rows(text) for name in codes(row[0])]
    assert sorted(documented) == sorted(metadata.tables[table].columns.keys())


def test_all_tables_are_described() -> None:
    assert {table for table, _ in sections("tables.md")} == set(metadata.tables)
