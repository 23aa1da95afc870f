"""The command line (extra ``cli``): parse, call the facade, show what it says.

Exit codes: 0 success; 1 failure; 2 the command line or the configuration is at fault; 3 partial: records were rejected
or conflicts wait for a decision; 4 a guard stopped the run before it did harm; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from crmsync.cli.collecting import collect_seldom
from crmsync.errors import MissingExtraError

_NEEDED: Final = frozenset({"typer", "rich", "tomli_w", "tomlkit"})


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
        collect_seldom()
        arguments = sys.argv[1:]
    return run(list(arguments))


__all__ = ["main"]
