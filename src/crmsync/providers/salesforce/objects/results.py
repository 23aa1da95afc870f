"""Outcomes of record stores as the results that verbs answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from crmsync.errors import CRMError, ProviderError, RecordError, TransientError
from crmsync.models.records import Operation, Outcome, OutcomeStatus
from crmsync.models.results import CRMSyncResult, SyncAction
from crmsync.protocols.records import RecordStore


def failure(code: str, message: str, *, crm_id: str | None = None) -> CRMSyncResult:
    """An input that could not be done, for a reason that waiting does not mend."""
    return CRMSyncResult(action=SyncAction.FAILED, crm_id=crm_id, code=code, error=message)


def result_of(outcome: Outcome, *, missing: str = "there is no such record (any more)") -> CRMSyncResult:
    """What a verb answers for an outcome. ``missing`` is said of a record that is gone."""
    if outcome.ok:
        return CRMSyncResult(action=SyncAction(outcome.status.value), crm_id=outcome.id)
    if outcome.status is OutcomeStatus.MISSING:
        return failure("not_found", missing)
    return failed(outcome.error or CRMError("the CRM did not say why"), outcome.id)


def failed(error: CRMError, crm_id: str | None = None) -> CRMSyncResult:
    """What a verb answers for an error of one record, or of the call that it was in."""
    return CRMSyncResult(
        action=SyncAction.FAILED,
        crm_id=crm_id,
        code=error.code if isinstance(error, RecordError) else word_of(error),
        error=error.message,
        retryable=isinstance(error, TransientError),
    )


def word_of(error: CRMError) -> str:
    """The stable word for an error of a whole call: `UnavailableError` is ``unavailable``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()


async def write_all(store: RecordStore, operations: Sequence[Operation]) -> list[Outcome]:
    """Every operation's outcome, in order. Once a batch took effect, a failing call is its rows' outcome.

    :raises ProviderError: the first call failed as a whole.
    """
    outcomes: list[Outcome] = []
    for batch in _batches(operations, store.limits.write_batch):
        try:
            outcomes += await store.write(batch)
        except ProviderError as error:
            if not outcomes:
                raise
            outcomes += [Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error) for operation in batch]
    return outcomes


def _batches(operations: Sequence[Operation], size: int) -> Iterator[Sequence[Operation]]:
    for start in range(0, len(operations), size):
        yield operations[start : start + size]
