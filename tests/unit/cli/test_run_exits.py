"""The exit code of several runs."""

from __future__ import annotations

import pytest

from crmsync.cli.exits import ExitCode
from crmsync.cli.run_exits import exit_code_of_runs
from crmsync.models.runs import RunStatus


@pytest.mark.parametrize(
    "statuses, code",
    [
        ([], ExitCode.SUCCESS),
        ([RunStatus.SUCCESS, RunStatus.PARTIAL], ExitCode.PARTIAL),
        ([RunStatus.STOPPED, RunStatus.PARTIAL], ExitCode.SAFETY_STOP),
        ([RunStatus.FAILED, RunStatus.SUCCESS, RunStatus.STOPPED], ExitCode.FAILURE),
    ],
)
def test_several_runs_end_with_the_code_of_the_worst(statuses: list[RunStatus], code: ExitCode) -> None:
    assert exit_code_of_runs(statuses) is code
