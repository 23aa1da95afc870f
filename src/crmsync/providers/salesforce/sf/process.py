"""Runs ``sf``: one process a command, JSON out, a time limit, nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.abc
import attrs

from crmsync.errors import ConfigurationError, CRMError, UnavailableError, UnexpectedResponseError
from crmsync.providers.salesforce.errors import command_error
from crmsync.providers.salesforce.sf.options import SfOptions
from crmsync.providers.salesforce.sf.printed import answer_in

_INHERITED: Final = (
    "PATH HOME TMPDIR TEMP TMP LANG LC_ALL TZ SYSTEMROOT USERPROFILE APPDATA LOCALAPPDATA PATHEXT COMSPEC"
    " HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy NODE_EXTRA_CA_CERTS DBUS_SESSION_BUS_ADDRESS"
).split()
"""What the CLI needs of our environment. The rest stays here: our own secrets, and ``SF_...`` variables that would
change what a command means."""

_QUIET: Final = {
    # "Environment Variables", Salesforce CLI Setup Guide; the first two of different ages for one thing.
    "SF_AUTOUPDATE_DISABLE": "true",
    "SF_DISABLE_AUTOUPDATE": "true",
    "SF_SKIP_NEW_VERSION_CHECK": "true",
    "SF_DISABLE_TELEMETRY": "true",
    # Its writer costs each command 0.45 s of waiting.
    "SF_DISABLE_LOG_FILE": "true",
    "NO_COLOR": "1",
}
_NO_SUCH_PROGRAM: Final = (126, 127)


@attrs.frozen(slots=True)
class SfReport:
    """What a command printed with ``--json``, be it a success or not."""

    exit_code: int
    body: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the command did what was asked."""
        return self.exit_code == 0

    @property
    def result(self) -> Any:
        """What it answered."""
        return self.body.get("result")

    @property
    def name(self) -> str:
        """A failure's name: the org's error code, or one of the CLI's own."""
        return str(self.body.get("name") or "")

    def error(self) -> CRMError:
        """A failure as the error that the same failure has over HTTP."""
        return command_error(self.name, str(self.body.get("code") or ""), str(self.body.get("message") or ""))


@attrs.frozen
class SfProcess:
    """Runs commands of the CLI. Safe for concurrent calls.

    ``directory`` is their working directory: private to this connection, as is what they write into it.
    """

    command: tuple[str, ...]
    directory: Path
    time_limit: float
    environment: Mapping[str, str] = attrs.field(repr=False)

    async def call(self, *arguments: str, stdin: bytes | None = None, time_limit: float | None = None) -> Any:
        """Run a command and return its result.

        :raises ProviderError: it failed; see `SfReport.error`. Otherwise as `run`.
        """
        report = await self.run(*arguments, stdin=stdin, time_limit=time_limit)
        if not report.ok:
            raise report.error()
        return report.result

    async def run(self, *arguments: str, stdin: bytes | None = None, time_limit: float | None = None) -> SfReport:
        """Run a command with ``--json`` to its end, and return what it printed whether or not it succeeded.

        Arguments are seen by every user of the machine: a secret goes into the environment or to ``stdin``.

        :raises ConfigurationError: there is no such program.
        :raises UnavailableError: it took longer than the time limit and was ended, with all that it had started.
        :raises UnexpectedResponseError: what it printed has no answer in JSON, or more than one; see `answer_in`.
        """
        try:
            process = await anyio.open_process(
                [*self.command, *arguments, "--json"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=self.directory,
                env=self.environment,
                start_new_session=True,
            )
        except OSError as error:
            raise _missing(self.command[0], type(error).__name__) from None
        limit = self.time_limit if time_limit is None else time_limit
        output = b""
        ended = False
        async with process:
            try:
                with anyio.move_on_after(limit):
                    output = await _exchange(process, stdin or b"")
                    await process.wait()
                    ended = True
            finally:
                if not ended:
                    _end_group(process)
        if not ended:
            raise UnavailableError(f"sf {' '.join(arguments[:3])} did not end within {limit:g} s")
        return self._report(process.returncode or 0, output, arguments)

    def _report(self, exit_code: int, output: bytes, arguments: tuple[str, ...]) -> SfReport:
        body = answer_in(output)
        if body is not None:
            return SfReport(exit_code, body)
        if exit_code in _NO_SUCH_PROGRAM:
            raise _missing(self.command[0], f"exit code {exit_code}")
        raise UnexpectedResponseError(
            f"sf {' '.join(arguments[:3])} ended with {exit_code} and printed no JSON, or more than one answer"
        )


async def _exchange(process: anyio.abc.Process, stdin: bytes) -> bytes:
    """Give the process its input and return its whole output."""
    assert process.stdout is not None
    parts: list[bytes] = []
    async with anyio.create_task_group() as group:
        group.start_soon(_feed, process, stdin)
        parts.extend([part async for part in process.stdout])
    return b"".join(parts)


async def _feed(process: anyio.abc.Process, stdin: bytes) -> None:
    assert process.stdin is not None
    try:
        if stdin:
            await process.stdin.send(stdin)
        await process.stdin.aclose()
    except (anyio.BrokenResourceError, OSError):
        # It ended, or closed its input, before it had read everything: its exit code says whether that is right.
        return


def _end_group(process: anyio.abc.Process) -> None:
    """End the process and what it started; it leads a group of its own."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        return


def _missing(program: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"the Salesforce CLI cannot be run ({reason}): install sf v2 and a Node.js that it supports,"
        f" or set sf.command (now {program!r})"
    )


@asynccontextmanager
async def open_sf(options: SfOptions, environment: Mapping[str, str] | None = None) -> AsyncIterator[SfProcess]:
    """The CLI with a private working directory and, if nothing else is configured, a private home directory.

    :param environment: further variables for the commands, such as a token.
    :raises ConfigurationError: the home directory cannot be written to, at which ``sf`` would hang.
    """
    program = shutil.which(options.command[0])
    if program is None:
        raise _missing(options.command[0], "not found")
    with tempfile.TemporaryDirectory(prefix="crmsync-sf-", ignore_cleanup_errors=True) as name:
        private = Path(name)
        home = options.home.expanduser() if options.home else Path.home() if options.org else private / "home"
        work = private / "work"
        for directory in (private / "home", work):
            directory.mkdir(mode=0o700)
        if not os.access(home, os.W_OK | os.X_OK):
            raise ConfigurationError("sf.home is no directory that this user can write to")
        inherited = {key: value for key in _INHERITED if (value := os.environ.get(key)) is not None}
        yield SfProcess(
            command=(program, *options.command[1:]),
            directory=work,
            time_limit=options.time_limit,
            environment={**inherited, **_QUIET, "HOME": str(home), **(environment or {})},
        )
