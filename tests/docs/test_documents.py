"""Every page does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, blocks, pages, parse, workspace

LANGUAGES = {"console", "json", "python", "sh", "text", "toml", "csv", "sql"}

NOT_RUN = {
    "README.md": "its two commands build environments; CI runs the second one itself",
}
"""The pages with ``sh`` blocks, and why these are not run here."""


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    with workspace(tmp_path) as place:
        for example in parse(page, place).examples():
            example.evaluate()


def test_no_command_has_a_word_that_an_interactive_shell_takes_for_its_history() -> None:
    """The tests type into a shell that has none, people into one that has."""
    for page in pages():
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("$ "):
                assert not re.search(r"![^\s=(]", re.sub(r"'[^']*'", "", line)), f"{page.name}: {line}"


def test_every_block_is_in_a_language_that_is_checked() -> None:
    used = {language for page in pages() for language, _, _ in blocks(page)}
    assert used <= LANGUAGES


def test_shell_blocks_that_are_not_run_are_listed_with_the_reason() -> None:
    found = {
        page.relative_to(ROOT).as_posix() for page in pages() for language, _, _ in blocks(page) if language == "sh"
    }
    assert found == set(NOT_RUN)


def test_no_fence_escapes_the_parser() -> None:
    for page in pages():
        fences = sum(line.lstrip().startswith("```") for line in page.read_text(encoding="utf-8").splitlines())
        directives = sum(line.startswith("```{") and "code-block" not in line for line in page.read_text().splitlines())
        assert fences == 2 * (len(list(blocks(page))) + directives), page
