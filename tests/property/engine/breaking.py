"""How an engine is broken on purpose: a copy of the package in which some text is another.

What is to be replaced must stand there exactly once: whoever changes the engine is told which mutant to write anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path, PurePath

import attrs

import crmsync

HISTORIES = Path(__file__).with_name("histories")


@attrs.frozen
class Patch:
    """One replacement in one module of the package."""

    module: str
    old: str
    new: str


@attrs.frozen
class Mutant:
    """A broken engine. ``fault`` says what it does, and which system is known for it."""

    name: str
    fault: str
    patches: tuple[Patch, ...]

    @property
    def history(self) -> Path:
        """Where the smallest history is kept that shows the fault."""
        return HISTORIES / f"{self.name}.json"


class StaleMutantError(Exception):
    """The source has changed so that a mutant no longer fits it."""


def source() -> Path:
    """The package under test."""
    return Path(crmsync.__file__).parent


def broken_copy(mutant: Mutant | None, folder: Path) -> Path:
    """The package in ``folder`` with a mutant's faults, or as it is; answers what to put on the path.

    :raises StaleMutantError: a text that is to be replaced is not there exactly once.
    """
    tree = folder / (mutant.name if mutant else "unmutated")
    patches = mutant.patches if mutant else ()
    tree.mkdir()
    _link(source(), tree / "crmsync", {PurePath(patch.module) for patch in patches})
    for patch in patches:
        path = tree / "crmsync" / patch.module
        text = path.read_text(encoding="utf-8")
        found = text.count(patch.old)
        if found != 1:
            msg = f"mutant {mutant.name if mutant else ''}: {patch.module} has {found} times: {patch.old!r}"
            raise StaleMutantError(msg)
        path.write_text(text.replace(patch.old, patch.new), encoding="utf-8")
    return tree


def _link(original: Path, copy: Path, changed: Collection[PurePath]) -> None:
    """A folder like the original, in which what changes is a file of its own, and the rest links."""
    copy.mkdir()
    for each in original.iterdir():
        within = {path.relative_to(each.name) for path in changed if path.is_relative_to(each.name)}
        if each.name == "__pycache__":
            # With the times of the sources in them: only what is changed is compiled again.
            shutil.copytree(each, copy / each.name)
        elif not within:
            (copy / each.name).symlink_to(each)
        elif each.is_dir():
            _link(each, copy / each.name, within)
        else:
            shutil.copyfile(each, copy / each.name)
