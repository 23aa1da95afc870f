"""How many single records may go through the Salesforce CLI one by one."""

from __future__ import annotations

from typing import Final

from crmsync.errors import ConfigurationError

HANDFUL: Final = 5


class Handful:
    """Counts single records in a row; ``instead`` names what takes many at once."""

    def __init__(self, instead: str) -> None:
        self._instead = instead
        self._in_a_row = 0

    def take(self) -> None:
        """Note a single record.

        :raises ConfigurationError: it is one too many in a row; nothing was sent.
        """
        if self._in_a_row == HANDFUL:
            raise ConfigurationError(
                f"no more than {HANDFUL} single records in a row go through the Salesforce CLI: each takes about a"
                f" second a command, and three API calls besides its own; use {self._instead}"
            )
        self._in_a_row += 1

    def over(self) -> None:
        """Something else came between."""
        self._in_a_row = 0
