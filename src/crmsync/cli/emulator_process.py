"""The emulator as a child process. It ends with its owner, however that ends: it watches its stdin."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from subprocess import PIPE
from typing import Final

import anyio
import attrs
from anyio.abc import ByteReceiveStream, Process

from crmsync.errors import CRMError, MissingExtraError

_MODULE: Final = "crmsync.testing.salesforce"
_NEEDED: Final = ("starlette", "uvicorn", "lark", "jwt", "defusedxml")
_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 10.0


@attrs.frozen
class Emulator:
    """A running emulator: its address and the token it accepts."""

    url: str
    access_token: str = attrs.field(repr=False)
    process: Process = attrs.field(repr=False)


class EmulatorError(CRMError):
    """The emulator did not start; it has said why on stderr."""


@asynccontextmanager
async def run_emulator(arguments: Sequence[str]) -> AsyncIterator[Emulator]:
    """Start it with these arguments and wait until it answers; end it after.

    :raises MissingExtraError: the emulator's packages are not installed.
    :raises EmulatorError: it ended at once (a port in use, say), or did not start in time.
    """
    if not all(importlib.util.find_spec(name) for name in _NEEDED):
        raise MissingExtraError("the emulator", "emulator")
    command = [sys.executable, "-m", _MODULE, *arguments]
    process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None)
    try:
        line = b""
        with anyio.move_on_after(_START_SECONDS):
            line = await _first_line(process)
        if not line:
            raise EmulatorError("the emulator did not start; see what it wrote above")
        said = json.loads(line)
        yield Emulator(url=said["url"], access_token=said["access_token"], process=process)
    finally:
        await _end(process)


async def _first_line(process: Process) -> bytes:
    stream: ByteReceiveStream | None = process.stdout
    received = b""
    while stream is not None and b"\n" not in received:
        try:
            received += await stream.receive()
        except anyio.EndOfStream:
            return b""
    return received.partition(b"\n")[0]


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.stdin is not None:
            await process.stdin.aclose()
        with anyio.move_on_after(_END_SECONDS):
            await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()
