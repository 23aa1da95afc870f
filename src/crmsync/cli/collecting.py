"""How often a process that is the command line's alone looks for cycles of objects.

A run makes values by the million and hardly a cycle. Nothing here is for a process of somebody else's: how it collects
is its own affair, and docs/explanation/speed.md says what to do there.
"""

from __future__ import annotations

import atexit
import gc
from typing import Final

_COLLECTIONS: Final = (10_000, 5, 5)
"""Looked for after every 700 new objects, as Python does by itself, cycles cost an eighth of a first load's CPU. After
every 200,000 it would be a fifth, but the few that there are would take a third of a kilobyte for each record."""


def collect_seldom() -> None:
    """From now on, in this process."""
    gc.set_threshold(*_COLLECTIONS)
    # A process that ends gives its memory back at once. Python would look for cycles in all of it first, module by
    # module, which takes longer than most commands.
    atexit.register(gc.freeze)


def keep_what_is_there() -> None:
    """Look through what is imported and opened no more, if this process collects seldom. Only the first call does."""
    if gc.get_threshold() == _COLLECTIONS and not gc.get_freeze_count():
        gc.freeze()
