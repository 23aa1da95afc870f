"""How many single records may go through the Salesforce CLI one by one."""

from __future__ import annotations

from typing import Final

from crmsync.errors import ConfigurationError

HANDFUL: Final = 5


class Handful:
    """Counts single records in a row; only what takes many at once begins another row."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def take(self, instead: str) -> None:
        """Note a single record; ``instead`` names what takes many at once.

        :raises ConfigurationError: it is one too many in a row; nothing was sent.
        """
        if self._in_a_row == HANDFUL:
            raise ConfigurationError(
                f"no more than {HANDFUL} single records in a row go through the Salesforce CLI: each takes about a"
                f" second a command, and API calls of the CLI's own; use {instead}"
            )
        self._in_a_row += 1

    def take_all(self, number: int, instead: str) -> None:
        """Note what takes any number at once, but may be given a single one.

        :raises ConfigurationError: as `take`.
        """
        if number == 1:
            self.take(instead)
        else:
            self._in_a_row = 0
