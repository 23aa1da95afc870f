"""The error tree: its shape, its messages, its passage between processes."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from crmsync import errors
from crmsync.models.problems import Problem

PROBLEM = Problem(path="fields[3].crm_field", code="unknown_field", message="no such field", remedy="look at `fields`")

EXAMPLES: list[errors.CRMError] = [
    errors.MappingError([PROBLEM]),
    errors.UnknownProviderError("nobody offers it"),
    errors.AmbiguousProviderError("two offer it"),
    errors.MissingExtraError("the Salesforce provider", "salesforce"),
    errors.SyncPausedError("acme"),
    errors.VaultError("needs another key", reason="missing_key"),
    errors.RateLimitedError("slow down", retry_after=2.5),
    errors.UnavailableError("no answer"),
    errors.AuthenticationError("refused"),
    errors.AccessDeniedError("no permission"),
    errors.SchemaChangedError("the field is gone"),
    errors.CursorExpiredError("too old"),
    errors.UnexpectedResponseError("not JSON"),
    errors.ConversionError("does not fit", code="too_long", field="Name"),
    errors.RejectedError("a rule refuses it", field="Email"),
    errors.DuplicateError("is there already", existing_id="003000000000001AAA"),
    errors.ConflictError("two match", candidates=["a", "b"]),
    errors.StaleRecordError("changed since"),
    errors.NotFoundError("nothing under this id"),
    errors.ConcurrentUpdateError("another holds it"),
    errors.LeaseLostError("another took it"),
    errors.DeleteGuardError(planned=120, limit=50),
    errors.OverwriteGuardError(120, 50, scope="remote", fields=[("Name", 120)], examples=["003000000000001AAA"]),
    errors.BudgetExceededError(used=10, limit=10),
]


def defined() -> list[type[errors.CRMError]]:
    found = [item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, errors.CRMError)]
    return sorted(found, key=lambda kind: kind.__name__)


def drawn() -> dict[str, str]:
    """Each error of the tree in the module's docstring, with the parent it stands under."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if entry := re.match(r"( +)(\w+Error)\b", line):
            depth, name = len(entry[1]), entry[2]
            path = [(d, n) for d, n in path if d < depth]
            parents[name] = path[-1][1] if path else "Exception"
            path.append((depth, name))
    return parents


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in defined()}


def test_every_error_is_exported() -> None:
    assert errors.__all__ == sorted(kind.__name__ for kind in defined())


def test_every_leaf_has_an_example_here() -> None:
    leaves = {kind for kind in defined() if not kind.__subclasses__()}
    assert leaves <= {type(error) for error in EXAMPLES}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_pickles_with_all_it_carries(error: errors.CRMError) -> None:
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == str(error) == error.message
    assert vars(twin) == vars(error)


@pytest.mark.parametrize(
    "kind,builtin",
    [
        (errors.UnknownProviderError, LookupError),
        (errors.MissingExtraError, ImportError),
        (errors.NotFoundError, LookupError),
    ],
)
def test_an_error_with_a_builtin_meaning_is_caught_as_that_too(
    kind: type[errors.CRMError], builtin: type[Exception]
) -> None:
    assert issubclass(kind, builtin)


def test_only_transient_errors_are_retried() -> None:
    retried = {type(error).__name__ for error in EXAMPLES if isinstance(error, errors.TransientError)}
    assert retried == {"RateLimitedError", "UnavailableError"}


def test_a_mapping_error_lists_every_fault_with_its_path() -> None:
    second = Problem(path="match.remote_email", code="unknown_field", message="the CRM has no such field")
    error = errors.MappingError([PROBLEM, second])
    assert error.problems == (PROBLEM, second)
    assert str(error).splitlines() == [
        "the mapping has 2 problem(s):",
        "  fields[3].crm_field: no such field [unknown_field] (look at `fields`)",
        "  match.remote_email: the CRM has no such field [unknown_field]",
    ]


def test_a_missing_extra_gives_the_line_that_mends_it() -> None:
    assert str(errors.MissingExtraError("SQL storage", "sql")).endswith("pip install 'crmsync[sql]'")


def test_the_ids_that_an_error_carries_are_not_in_its_message() -> None:
    duplicate = errors.DuplicateError("is there already", existing_id="003000000000001AAA")
    ambiguous = errors.ConflictError("two match", candidates=["first@example.com", "second@example.com"])
    assert "003000000000001AAA" not in f"{duplicate}{duplicate!r}"
    assert "example.com" not in f"{ambiguous}{ambiguous!r}"
    assert ambiguous.candidates == ("first@example.com", "second@example.com")
