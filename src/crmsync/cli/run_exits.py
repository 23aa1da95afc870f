"""The exit code of runs, beside those of errors: whoever only asks for help has no runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crmsync.cli.exits import ExitCode
from crmsync.models.runs import RunStatus

_STATUS_CODES: Final = {
    RunStatus.SUCCESS: ExitCode.SUCCESS,
    RunStatus.PARTIAL: ExitCode.PARTIAL,
    RunStatus.STOPPED: ExitCode.SAFETY_STOP,
    RunStatus.FAILED: ExitCode.FAILURE,
}

_SEVERITY: Final = (ExitCode.SUCCESS, ExitCode.PARTIAL, ExitCode.SAFETY_STOP, ExitCode.FAILURE, ExitCode.USAGE)


def exit_code_of_runs(statuses: Sequence[RunStatus]) -> ExitCode:
    """The exit code of a command that ended with these runs: that of the worst of them."""
    codes = [_STATUS_CODES[status] for status in statuses]
    return max(codes, key=_SEVERITY.index, default=ExitCode.SUCCESS)
