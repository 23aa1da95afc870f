"""Where results and errors go: one JSON object on stdout, or tables for people."""

from __future__ import annotations

import enum
import io
import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.text import Text

from crmsync.cli import exits
from crmsync.cli.fitting import Whole


class Format(enum.StrEnum):
    """How a command shows its result."""

    HUMAN = "human"
    JSON = "json"


_JOINERS: Final = "\u200c\u200d"


def plain(value: object) -> str:
    """Text that is safe on a terminal: what is not printable (escapes, line ends, bidi overrides) shows as an escape.

    The two joiners stay: Persian words and many emoji need them.
    """
    text = value if isinstance(value, str) else str(value)
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() or ch in _JOINERS else _escaped(ch) for ch in text)


def _escaped(ch: str) -> str:
    return ch.encode("unicode_escape").decode("ascii")


class Output:
    """One command's output. In JSON mode stdout gets exactly one object and nothing else. ``width`` None: as wide as
    the terminal is.
    """

    def __init__(self, format_: Format, *, width: int | None = None) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        self.json = format_ is Format.JSON
        self._out = Console(highlight=False, markup=False, emoji=False, soft_wrap=False, width=width)
        self.err = Console(stderr=True, highlight=False, markup=False, emoji=False)

    @property
    def interactive(self) -> bool:
        """Whether progress may be drawn: for people, and on a terminal."""
        return not self.json and self.err.is_terminal

    def result(self, payload: Mapping[str, Any], *shown: RenderableType) -> None:
        """Give the command's result: the object, or what shows it. Call it once."""
        if self.json:
            self._write(payload)
            return
        self.show(*shown)

    def show(self, *shown: RenderableType) -> None:
        """Show people something on stdout; nothing in JSON mode."""
        if not self.json:
            for one in shown:
                # An id that is longer than a line stays whole: it is there to be copied.
                self._out.print(Whole(one) if isinstance(one, Text) else one, crop=False)

    def note(self, text: str) -> None:
        """Tell people something on the side (stderr); nothing in JSON mode."""
        if not self.json:
            self.err.print(Whole(Text(plain(text), style="dim")), crop=False)

    def error(self, error: BaseException, *, beside: Mapping[str, Any] | None = None) -> None:
        """Report the error that ended the command, with every problem and what to do. ``beside`` is for JSON only."""
        if self.json:
            self._write({**(beside or {}), "error": exits.error_payload(error)})
            return
        self.tell(error)

    def tell(self, error: BaseException, about: str = "") -> None:
        """Tell people of an error, with every problem and what to do, and what it is about; nothing in JSON mode."""
        if self.json:
            return
        message = "\n".join(plain(line) for line in exits.message_of(error).splitlines())
        where = f"{plain(about)}: " if about else ""
        self.err.print(Text.assemble(("error: ", "bold red"), where, message), soft_wrap=True)
        for problem in exits.problems_of(error):
            line = Text.assemble("  - ", (plain(problem.path), "bold"), ": ", plain(problem.message))
            if problem.remedy:
                line.append(f" ({plain(problem.remedy)})", style="dim")
            self.err.print(line, soft_wrap=True)
        if remedy := exits.remedy_for(error):
            self.err.print(Text.assemble(("what to do: ", "bold"), remedy), soft_wrap=True)

    def _write(self, payload: Mapping[str, Any]) -> None:
        # ASCII only: valid whatever the encoding of stdout, and lone surrogates survive.
        sys.stdout.write(json.dumps(payload, indent=2, default=_json_form) + "\n")
        sys.stdout.flush()


def _json_form(value: object) -> object:
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    return str(value)
