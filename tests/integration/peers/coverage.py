"""Which of the emulator's services each peer makes use of: what a test exercises stands over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

VERBS: Final = (
    "login",
    "query",
    "paging",
    "create",
    "update",
    "upsert",
    "delete",
    "describe",
    "limits",
    "collections",
    "bulk insert",
    "bulk update",
    "bulk upsert",
    "bulk delete",
    "bulk query",
    "first bulk insert",
    "first bulk update",
    "first bulk upsert",
    "first bulk delete",
    "first bulk query",
)
PEERS: Final = {
    "`sf`": "test_sf",
    "jsforce": "test_jsforce",
    "simple-salesforce": "test_simple_salesforce",
    "aiosalesforce": "test_aiosalesforce",
    "CumulusCI": "test_cumulusci",
}
_ATTRIBUTE: Final = "exercised_verbs"


def exercises(*verbs: str) -> Callable[[Test], Test]:
    """Say of a test that its peer does these things, and that their results are asserted.

    :raises ValueError: one is not of `VERBS`.
    """
    if unknown := set(verbs) - set(VERBS):
        raise ValueError(f"not among the verbs: {sorted(unknown)}")

    def marked(test: Test) -> Test:
        setattr(test, _ATTRIBUTE, verbs)
        return test

    return marked


def exercised(module: object) -> set[str]:
    """The verbs that the tests of a module exercise."""
    return {verb for test in vars(module).values() for verb in getattr(test, _ATTRIBUTE, ())}
