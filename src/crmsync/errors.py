"""Every error that crmsync raises on purpose::

    CRMError
      ConfigurationError
        MappingError               .problems: every fault of a mapping at once, each with its path
        UnknownProviderError       also a LookupError
        AmbiguousProviderError     two installed distributions claim one name
        MissingExtraError          also an ImportError; the message is the pip line that mends it
        SyncPausedError            .integration_id: somebody paused its syncs, until they are resumed
        VaultError                 .reason: a stored secret cannot be opened or sealed; it stays as it is
      ProviderError
        TransientError             .retry_after seconds, if the CRM said; the only kind that is retried
          RateLimitedError         too many calls at once, or in a day
          UnavailableError         no answer, or a 5xx one
        AuthenticationError        the credential is refused
        AccessDeniedError          the credential is good, the permission is missing
        SchemaChangedError         an object or field that we rely on is gone or different
        CursorExpiredError         the position is too old: a full read is needed
        UnexpectedResponseError    an answer that breaks the CRM's own contract
      RecordError                  one record failed; becomes an outcome, the run goes on
        ConversionError            a value has no faithful form on the other side
        RejectedError              the store's rules refuse the record
        DuplicateError             .existing_id, if the store named it
        ConflictError              .candidates: more than one match, or a link already taken
        StaleRecordError           the record changed after it was planned
      StorageError
        NotFoundError              also a LookupError
        ConcurrentUpdateError      another process holds the lease
          LeaseLostError           another process took it while this one stood still
      SafetyStopError              a guard stopped the run before it did harm
        DeleteGuardError           .planned, .limit
        OverwriteGuardError        .planned, .limit, .scope (a side, or first meetings), .fields, .examples
        BudgetExceededError        .used, .limit, .scope (the run, the day, the org), .resumes_at

Retry means ``isinstance(error, TransientError)`` and nothing else. No message and no ``repr`` holds a secret or a
record's value. All of them pickle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from crmsync.models.problems import Problem


class CRMError(Exception):
    """The root of every error that crmsync raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[CRMError], args: tuple[object, ...], state: dict[str, object]) -> CRMError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigurationError(CRMError):
    """What the user configured cannot work; nothing was read or written."""


class MappingError(ConfigurationError):
    """A mapping has faults. ``problems`` holds all of them, each with the path of the field mapping at fault."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"the mapping has {len(self.problems)} problem(s):{lines}")


class UnknownProviderError(ConfigurationError, LookupError):
    """No installed distribution offers this provider, storage or record store."""


class AmbiguousProviderError(ConfigurationError):
    """Two installed distributions offer the same name; one of them must go."""


class MissingExtraError(ConfigurationError, ImportError):
    """A part of crmsync needs packages that are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        self.feature = feature
        self.extra = extra
        super().__init__(f"{feature} needs packages that are not installed: pip install 'crmsync[{extra}]'")


class SyncPausedError(ConfigurationError):
    """The syncs of an integration are paused."""

    def __init__(self, integration_id: str) -> None:
        self.integration_id = integration_id
        super().__init__(
            f"sync is paused for integration {integration_id!r}: resume it first, by `crmsync resume -i"
            f" {integration_id}` or `CRMSync.resume({integration_id!r})`"
        )


class VaultError(ConfigurationError):
    """A stored secret cannot be opened, or none sealed; what is stored stays as it is.

    ``reason`` is ``missing_key`` (bring the key back), ``environment`` (it is another environment's), ``damaged`` (it
    was changed or moved), or ``unavailable`` (whoever holds the key does not answer, or refuses).
    """

    def __init__(
        self, message: str, *, reason: Literal["missing_key", "environment", "damaged", "unavailable"]
    ) -> None:
        super().__init__(message)
        self.reason = reason


class ProviderError(CRMError):
    """A CRM, or any record store, could not do what was asked of it as a whole."""


class TransientError(ProviderError):
    """The same request may succeed later. ``retry_after`` is in seconds, ``None`` if the store did not say."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitedError(TransientError):
    """The store asks to slow down."""


class UnavailableError(TransientError):
    """The store did not answer, or answered that it cannot serve now. Whether the request took effect is unknown."""


class AuthenticationError(ProviderError):
    """The credential is missing, wrong, expired or revoked."""


class AccessDeniedError(ProviderError):
    """The credential is good but lacks a permission."""


class SchemaChangedError(ProviderError):
    """An object or field that the mapping relies on no longer exists as it was."""


class CursorExpiredError(ProviderError):
    """The store no longer knows the position to read on from; read from the start."""


class UnexpectedResponseError(ProviderError):
    """The store's answer breaks its own contract."""


class RecordError(CRMError):
    """One record failed. ``code`` is stable; ``field`` names the field at fault, if one is."""

    def __init__(self, message: str, *, code: str = "rejected", field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class ConversionError(RecordError):
    """A value has no faithful form on the other side."""


class RejectedError(RecordError):
    """The store's own rules refuse the record."""


class DuplicateError(RecordError):
    """The store holds such a record already. ``existing_id`` is its id, if the store named it."""

    def __init__(
        self, message: str, *, code: str = "duplicate", field: str | None = None, existing_id: str | None = None
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.existing_id = existing_id


class ConflictError(RecordError):
    """The record, or what one of its fields names, cannot be told without a decision. ``candidates`` are the ids."""

    def __init__(
        self, message: str, *, code: str = "ambiguous", field: str | None = None, candidates: Sequence[str] = ()
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.candidates = tuple(candidates)


class StaleRecordError(RecordError):
    """The record changed after the plan was made; the next run decides anew."""

    def __init__(self, message: str, *, code: str = "stale", field: str | None = None) -> None:
        super().__init__(message, code=code, field=field)


class StorageError(CRMError):
    """The bookkeeping could not be read or written."""


class NotFoundError(StorageError, LookupError):
    """The bookkeeping holds nothing under this id."""


class ConcurrentUpdateError(StorageError):
    """Another process holds the lease."""


class LeaseLostError(ConcurrentUpdateError):
    """Another process took the lease while this one stood still; from then on this one stored and wrote nothing."""


class SafetyStopError(CRMError):
    """A guard stopped the run before it did harm; nothing that was already acknowledged is undone."""


class DeleteGuardError(SafetyStopError):
    """The run would delete more records than the guard allows."""

    def __init__(self, planned: int, limit: int) -> None:
        self.planned = planned
        self.limit = limit
        super().__init__(f"the run would delete {planned} records; the guard allows {limit}. Raise it to go on.")


class OverwriteGuardError(SafetyStopError):
    """The run would overwrite more non-blank values than the guard allows; nothing of the page at fault was written.

    ``scope`` says where they were counted: on the ``local`` or the ``remote`` side, or (``meeting``) on both, among
    records that meet for the first time. ``fields`` are the fields with their counts, most first; ``examples`` are ids
    of some of the records.
    """

    def __init__(
        self,
        planned: int,
        limit: int,
        *,
        scope: Literal["local", "remote", "meeting"],
        fields: Sequence[tuple[str, int]] = (),
        examples: Sequence[str] = (),
    ) -> None:
        self.planned = planned
        self.limit = limit
        self.scope = scope
        self.fields = tuple(fields)
        self.examples = tuple(examples)
        named = ", ".join(f"{name} {count}" for name, count in self.fields[:_FIELDS_NAMED])
        if len(self.fields) > _FIELDS_NAMED:
            named += ", ..."
        super().__init__(
            f"the run would overwrite {planned} non-blank values {_SCOPES[scope]} ({named}), for instance of"
            f" {', '.join(self.examples) or 'records'}; the guard allows {limit} so far."
            f" Nothing of this page was written.{_KEYS_CLASH if scope == 'meeting' else ''}"
        )


_FIELDS_NAMED: Final = 4
_KEYS_CLASH: Final = (
    " If they are not the same people, another application may keep its own ids in the CRM's key field: give this"
    " integration a key field of its own."
)
_SCOPES: Final = {
    "local": "of the local side",
    "remote": "of the CRM",
    "meeting": "of records that meet for the first time",
}


class BudgetExceededError(SafetyStopError):
    """The run would use more API calls than a budget.

    ``scope`` says which one: that of the run, of the integration's day (of UTC, all its processes), or the share of the
    CRM's own allowance that is not left to others. ``resumes_at`` is when there are calls again, if that is known.
    """

    def __init__(
        self, used: int, limit: int, *, scope: Literal["run", "day", "org"] = "run", resumes_at: datetime | None = None
    ) -> None:
        self.used = used
        self.limit = limit
        self.scope = scope
        self.resumes_at = resumes_at
        when = f" from {resumes_at:%Y-%m-%d %H:%M} UTC on" if resumes_at else ""
        super().__init__(_BUDGETS[scope].format(used=used, limit=limit, when=when))


_BUDGETS: Final = {
    "run": "the run's budget of {limit} API calls is used up ({used} used); it goes on where it stopped",
    "day": "the integration's budget of {limit} API calls a day is used up; it goes on where it stopped{when}",
    "org": "the CRM counts {used} API calls by everybody, and this integration leaves those above {limit} to"
    " others; it goes on where it stopped when the CRM's own window of time has moved on",
}


__all__ = [
    "AccessDeniedError",
    "AmbiguousProviderError",
    "AuthenticationError",
    "BudgetExceededError",
    "CRMError",
    "ConcurrentUpdateError",
    "ConfigurationError",
    "ConflictError",
    "ConversionError",
    "CursorExpiredError",
    "DeleteGuardError",
    "DuplicateError",
    "LeaseLostError",
    "MappingError",
    "MissingExtraError",
    "NotFoundError",
    "OverwriteGuardError",
    "ProviderError",
    "RateLimitedError",
    "RecordError",
    "RejectedError",
    "SafetyStopError",
    "SchemaChangedError",
    "StaleRecordError",
    "StorageError",
    "SyncPausedError",
    "TransientError",
    "UnavailableError",
    "UnexpectedResponseError",
    "UnknownProviderError",
    "VaultError",
]
