"""Reading the body of an answer, which may be anything: too large, cut off, HTML, nested without end."""

from __future__ import annotations

import json
from contextlib import aclosing
from decimal import Decimal
from typing import Any, Final

import httpx2

from crmsync.errors import UnexpectedResponseError

ERROR_BYTES: Final = 1 << 20
"""As much of a failed call's body is looked at."""


async def read(response: httpx2.Response, limit: int) -> bytes:
    """The decoded body of a streamed answer.

    :raises UnexpectedResponseError: it is larger; no more than ``limit`` and one chunk were kept in memory.
    """
    parts: list[bytes] = []
    size = 0
    async with aclosing(response.aiter_bytes()) as stream:
        async for part in stream:
            size += len(part)
            if size > limit:
                msg = (
                    f"Salesforce answered with more than {limit >> 20} MB; map fewer long fields or raise max_answer_mb"
                )
                raise UnexpectedResponseError(msg)
            parts.append(part)
    return b"".join(parts)


async def read_error(response: httpx2.Response) -> bytes:
    """The body of a failed call; nothing, if it is too large to be an error of Salesforce's."""
    try:
        return await read(response, ERROR_BYTES)
    except UnexpectedResponseError:
        return b""


def parse(content: bytes) -> Any:
    """JSON with exact decimals; None for no body.

    :raises ValueError: it is no JSON, or none that can be held.
    """
    if not content.strip():
        return None
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    except (RecursionError, ArithmeticError) as error:
        raise ValueError(f"JSON that cannot be held: {type(error).__name__}") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
