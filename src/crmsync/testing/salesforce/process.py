"""The emulator in a child process, so that its work does not share an interpreter with what is measured or killed."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STOP_TIMEOUT: Final = 20.0


@frozen
class EmulatorProcess:
    """A child process whose emulator answers at ``url``."""

    url: str
    access_token: str = field(repr=False)
    pid: int


@contextmanager
def emulator_process(arguments: Sequence[str] = ()) -> Iterator[EmulatorProcess]:
    """Run ``python -m crmsync.testing.salesforce`` for the length of a ``with`` block, on a free loopback port.

    The child ends when its standard input closes, so it does not outlive this process however that ends.

    :param arguments: further ones for the command, such as ``("--state", "org.json")``.
    :raises RuntimeError: the child ended before it was ready; its standard error says why.
    """
    command = [sys.executable, "-m", "crmsync.testing.salesforce", "--port", "0", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603 - our own module
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            line = child.stdout.readline()
            if not line:
                raise RuntimeError(f"the emulator ended with exit code {child.wait(_STOP_TIMEOUT)}")
            ready = json.loads(line)
            yield EmulatorProcess(ready["url"], ready["access_token"], child.pid)
        finally:
            child.stdin.close()
            try:
                child.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                child.kill()
