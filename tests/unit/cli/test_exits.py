"""Exit codes, and what is shown of an error."""

from __future__ import annotations

import datetime as dt
import inspect

import pytest

from crmsync import errors
from crmsync.cli.exits import (
    ExitCode,
    UsageProblemError,
    error_code,
    error_payload,
    exit_code_for,
    message_of,
    remedy_for,
)
from crmsync.models.problems import Problem


@pytest.mark.parametrize(
    "error, code",
    [
        (errors.ConfigurationError("x"), ExitCode.USAGE),
        (errors.MappingError([Problem("a", "b", "c")]), ExitCode.USAGE),
        (errors.MissingExtraError("x", "y"), ExitCode.USAGE),
        (errors.SyncPausedError("acme"), ExitCode.USAGE),
        (UsageProblemError("x"), ExitCode.USAGE),
        (errors.DeleteGuardError(5, 1), ExitCode.SAFETY_STOP),
        (errors.OverwriteGuardError(5, 1, scope="meeting"), ExitCode.SAFETY_STOP),
        (errors.BudgetExceededError(5, 5), ExitCode.SAFETY_STOP),
        (errors.AuthenticationError("x"), ExitCode.FAILURE),
        (errors.StorageError("x"), ExitCode.FAILURE),
        (ValueError("x"), ExitCode.FAILURE),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    assert exit_code_for(error) is code


def test_an_error_that_is_none_of_ours_shows_its_kind_and_not_its_text() -> None:
    shown = message_of(ValueError("hunter2"))
    assert "ValueError" in shown
    assert "hunter2" not in shown


def test_an_os_error_shows_the_file() -> None:
    assert message_of(PermissionError(13, "Permission denied", "/x/y")) == "Permission denied: /x/y"


def test_codes_are_the_classes_names_in_snake_case() -> None:
    assert error_code(errors.DeleteGuardError(1, 1)) == "delete_guard"
    assert error_code(errors.CRMError("x")) == "crm"
    assert error_code(UsageProblemError("x")) == "usage"


def test_every_error_of_the_library_has_a_code_of_its_own() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CRMError)]
    codes = {error_code(kind.__new__(kind)) for kind in kinds}
    assert len(codes) == len(kinds)


@pytest.mark.parametrize(
    "error",
    [
        errors.DeleteGuardError(1, 1),
        errors.OverwriteGuardError(1, 1, scope="local"),
        errors.BudgetExceededError(1, 1),
        errors.AuthenticationError("x"),
        errors.UnavailableError("x"),
        errors.ConcurrentUpdateError("x"),
        errors.LeaseLostError("x"),
        errors.StorageError("x"),
        errors.NotFoundError("x"),
        errors.StaleRecordError("x"),
        KeyboardInterrupt(),
    ],
)
def test_what_a_user_can_mend_says_what_to_do(error: BaseException) -> None:
    assert remedy_for(error)


def test_a_message_that_names_the_command_says_it_all() -> None:
    assert not remedy_for(errors.NotFoundError("there is none: `crmsync links list` lists them"))


def test_a_budget_says_which_limit_to_raise_and_when_there_are_calls_again() -> None:
    turns = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    day = errors.BudgetExceededError(5, 5, scope="day", resumes_at=turns)
    org = errors.BudgetExceededError(5, 5, scope="org")
    assert "--max-calls" in remedy_for(errors.BudgetExceededError(5, 5))
    assert "max_calls_per_day" in remedy_for(day)
    assert "max_org_percent" in remedy_for(org)
    assert error_payload(day)["resumes_at"] == "2026-03-02T00:00:00+00:00"
    assert error_payload(org)["resumes_at"] is None


def test_a_rate_limit_says_when_to_run_again() -> None:
    before = dt.datetime.now(dt.UTC)
    payload = error_payload(errors.RateLimitedError("x", retry_after=3600))
    moment = dt.datetime.fromisoformat(payload["resumes_at"])
    assert dt.timedelta(minutes=59) < moment - before < dt.timedelta(minutes=61)
    assert f"{moment:%H:%M} UTC" in payload["remedy"]
    assert "wait" in remedy_for(errors.RateLimitedError("x"))


def test_the_json_form_holds_every_problem() -> None:
    problems = [Problem("fields[0]", "a", "b", "c"), Problem("fields[1]", "d", "e")]
    payload = error_payload(errors.MappingError(problems))
    assert payload["code"] == "mapping"
    assert payload["message"] == "the mapping has 2 problem(s)"
    assert payload["problems"] == [
        {"path": "fields[0]", "code": "a", "message": "b", "remedy": "c"},
        {"path": "fields[1]", "code": "d", "message": "e", "remedy": ""},
    ]
