"""Exit codes, and the one place where an error becomes a code, a message and advice."""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections.abc import Sequence
from typing import Any, Final

from crmsync import errors
from crmsync.models.problems import Problem


class ExitCode(enum.IntEnum):
    """What the process answers to its caller."""

    SUCCESS = 0
    FAILURE = 1
    USAGE = 2
    """The command line or the configuration cannot work; nothing was read or written."""
    PARTIAL = 3
    """Records were rejected or conflicts wait for a decision; everything else is in step."""
    SAFETY_STOP = 4
    """A guard stopped the run before it did harm."""
    INTERRUPTED = 130


class UsageProblemError(errors.ConfigurationError):
    """The command line, or the configuration file, is at fault. ``problems`` holds every fault that was found."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message)


_CODES: Final[tuple[tuple[type[errors.CRMError], ExitCode], ...]] = (
    (errors.ConfigurationError, ExitCode.USAGE),
    (errors.SafetyStopError, ExitCode.SAFETY_STOP),
    (errors.CRMError, ExitCode.FAILURE),
)

_REMEDIES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (KeyboardInterrupt, "run the command again to go on where it stopped"),
    (
        errors.DeleteGuardError,
        "look at `crmsync stops show`; if it is meant, approve it, or run again with --allow-deletes N",
    ),
    (
        errors.OverwriteGuardError,
        "look at `crmsync stops show` and the mapping; if it is meant, approve it, or add --allow-overwrites N",
    ),
    (errors.AuthenticationError, "mend that, or renew the credential; `crmsync connect --test` checks it"),
    (errors.AccessDeniedError, "ask the CRM's administrator for the permission, then run `crmsync connect --test`"),
    (errors.RateLimitedError, "wait, then run again: it goes on where it stopped"),
    (errors.UnavailableError, "check the address and the network, then run again: it goes on where it stopped"),
    (errors.SchemaChangedError, "compare the mapping with `crmsync fields`"),
    (errors.LeaseLostError, "run again: the other run did the work, or goes on with it"),
    (
        errors.ConcurrentUpdateError,
        "let the other run end (`sync` and `plan` wait for it with --wait SECONDS); a killed one gives way by itself",
    ),
    (
        errors.NotFoundError,
        "list what there is: `crmsync status`, `crmsync logs`, `crmsync links list` (or rejects, conflicts, stops)",
    ),
    (errors.StaleRecordError, "look at it with `crmsync stops show`, which says the digest to approve"),
    (errors.StorageError, "check that the bookkeeping's file or server exists and may be written"),
    (errors.MappingError, "mend the mapping in the configuration file; `crmsync fields` lists what the CRM offers"),
)


def exit_code_for(error: BaseException) -> ExitCode:
    """The exit code of an error that ended a command."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILURE)


def error_code(error: BaseException) -> str:
    """A stable name for programs: the class in snake case without ``Error``."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    name = "usage" if isinstance(error, UsageProblemError) else type(error).__name__
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.removesuffix("Error")).lower()


_BUDGET_REMEDIES: Final = {
    "run": "run again to go on where it stopped, or give it more with --max-calls N",
    "day": "run again then, or raise max_calls_per_day in the configuration file",
    "org": "run again later, or raise max_org_percent in the configuration file",
}


def resumes_at(error: BaseException) -> dt.datetime | None:
    """When it is worth while to run again, if the error knows."""
    if isinstance(error, errors.RateLimitedError) and error.retry_after is not None:
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=error.retry_after)
    return error.resumes_at if isinstance(error, errors.BudgetExceededError) else None


def remedy_for(error: BaseException) -> str:
    """What the user can do about it; empty when the message says it already."""
    if isinstance(error, errors.BudgetExceededError):
        return _BUDGET_REMEDIES[error.scope]
    if isinstance(error, errors.RateLimitedError) and (moment := resumes_at(error)):
        return f"run again after {moment:%Y-%m-%d %H:%M} UTC: it goes on where it stopped"
    if isinstance(error, errors.NotFoundError) and "`crmsync" in error.message:
        return ""
    return next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), "")


def message_of(error: BaseException) -> str:
    """What is shown of an error. One that is none of ours may hold anything in its text: only its kind is shown."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, errors.MappingError):
        return f"the mapping has {len(error.problems)} problem(s)"
    if isinstance(error, errors.CRMError):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"an unexpected {type(error).__name__}; run again with --debug for the traceback, and please report it"


def problems_of(error: BaseException) -> tuple[Problem, ...]:
    """Every fault that an error carries."""
    found = getattr(error, "problems", ())
    return tuple(problem for problem in found if isinstance(problem, Problem))


def error_payload(error: BaseException) -> dict[str, Any]:
    """The JSON form of an error: ``{"code", "message", "remedy", "resumes_at", "problems"}``."""
    problems = [
        {"path": one.path, "code": one.code, "message": one.message, "remedy": one.remedy} for one in problems_of(error)
    ]
    moment = resumes_at(error)
    return {
        "code": error_code(error),
        "message": message_of(error),
        "remedy": remedy_for(error),
        "resumes_at": moment.isoformat(timespec="seconds") if moment else None,
        "problems": problems,
    }
