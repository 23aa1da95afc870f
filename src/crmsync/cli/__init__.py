"""The command line (extra ``cli``): parse, call the facade, show what it says.

Exit codes: 0 success; 1 failure; 2 the command line or the configuration is at fault; 3 partial: records were rejected
or conflicts wait for a decision; 4 a guard stopped the run before it did harm; 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from typing import Final

from crmsync.errors import MissingExtraError

_NEEDED: Final = frozenset({"typer", "rich", "tomli_w", "tomlkit"})

_COLLECTIONS: Final = (10_000, 5, 5)
"""When cycles are looked for. A run makes values by the million and hardly a cycle: looked for after every 700 new
ones, as Python does by itself, they cost an eighth of a first load's CPU. After every 200,000 it would be a fifth, but
the few that there are would take a third of a kilobyte for each record."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default that of ``sys.argv``, and return its exit code."""
    try:
        from crmsync.cli.app import run  # noqa: PLC0415 - the extra may be absent
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(f"{MissingExtraError('the command line', 'cli')}\n")
        return 2
    if arguments is None:  # the process is ours alone
        gc.set_threshold(*_COLLECTIONS)
        # A process that ends gives its memory back at once. Python would look for cycles in all of it first, module by
        # module, which takes longer than most commands.
        atexit.register(gc.freeze)
        arguments = sys.argv[1:]
    return run(list(arguments))


__all__ = ["main"]
