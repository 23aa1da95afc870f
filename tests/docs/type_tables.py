"""The generated tables of the reference of types: ``python -m tests.docs.type_tables`` writes them anew."""

from __future__ import annotations

import re

from crmsync.mapping.type_notes import pairs_table, types_table
from tests.docs.documents import ROOT

PAGE = ROOT / "docs" / "reference" / "types.md"


def regenerated(text: str) -> str:
    """A page with what stands between its marks of generated tables replaced by those of now."""
    for name, table in (("types", types_table()), ("pairs", pairs_table())):
        begin, end = f"<!-- generated: {name} -->\n", "\n<!-- end -->"
        found = re.search(rf"(?<={begin}).*?(?={end})", text, re.DOTALL)
        assert found is not None, f"{PAGE.name} has no marks for the table of {name}"
        text = text[: found.start()] + table + text[found.end() :]
    return text


if __name__ == "__main__":
    PAGE.write_text(regenerated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
