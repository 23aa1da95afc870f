"""The answer of a command among what else was printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

_DECODER: Final = json.JSONDecoder()


def answer_in(output: bytes) -> Mapping[str, Any] | None:
    """The one JSON object that a command printed with ``--json``; None if there is none, or more than one.

    Notices of updates, warnings of Node.js, and what plugins say from their hooks may stand in lines before and after
    it (forcedotcom/cli, issues 320, 1003 and 2562). Among such, the answer is an object that begins a line and has the
    ``status`` that every answer of the CLI has. If two are such, nobody can tell which one is the command's.
    """
    try:
        whole = json.loads(output)
    except ValueError:
        found = list(_objects(output))
        return found[0] if len(found) == 1 else None
    return whole if isinstance(whole, dict) else None


def _objects(output: bytes) -> Iterator[Mapping[str, Any]]:
    start = 0
    while start < len(output):
        following = output.find(b"\n", start) + 1 or len(output)
        if output.startswith(b"{", start):
            # What comes after it need not be UTF-8; what is in it must be.
            text = output[start:].decode("utf-8", "surrogateescape")
            with suppress(ValueError):
                body, length = _DECODER.raw_decode(text)
                following = start + len(text[:length].encode())
                if type(body.get("status")) is int:
                    yield body
        start = following
