"""What became of a row, in one shape for every channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from crmsync.errors import CRMError, RecordError, TransientError, UnexpectedResponseError
from crmsync.models.records import Outcome, OutcomeStatus
from crmsync.providers.salesforce.errors import is_gone, row_error
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.writing.rows import Row, Verb


@attrs.define(slots=True)
class Sent:
    """What a channel answers: an outcome for every row it was given, by position.

    ``failures`` are the errors of the calls that failed as a whole, by the position of each row that was in one.
    """

    outcomes: dict[int, Outcome] = attrs.field(factory=dict)
    failures: dict[int, CRMError] = attrs.field(factory=dict)

    def answer(self, row: Row, outcome: Outcome) -> None:
        """Note a row's own answer."""
        self.outcomes[row.position] = outcome
        self.failures.pop(row.position, None)

    def fail(self, rows: Iterable[Row], error: CRMError) -> None:
        """Note that the call with these rows failed."""
        for row in rows:
            self.outcomes[row.position] = failed(row, error)
            self.failures[row.position] = error

    def add(self, other: Sent) -> None:
        """Take over another's later answers."""
        for position in other.outcomes:
            self.failures.pop(position, None)
        self.outcomes.update(other.outcomes)
        self.failures.update(other.failures)

    def raise_if_nothing_arrived(self) -> None:
        """:raises CRMError: every row was in a call that failed. One that waiting does not mend comes first.

        What is the error of a single row, such as one whose fate nobody knows, is never raised.
        """
        errors = [error for error in self.failures.values() if not isinstance(error, RecordError)]
        if errors and len(errors) == len(self.outcomes):
            raise next((error for error in errors if not isinstance(error, TransientError)), errors[0])


class Channel(Protocol):
    """A way to send rows of one verb. No two rows have one target."""

    async def send(self, verb: Verb, rows: Sequence[Row]) -> Sent:
        """Send them; what failed as a whole call is in the answer, not raised.

        :raises ProviderError: nobody knows what became of the rows, and they must not be sent again before that is
            known.
        :raises BudgetExceededError: before anything was sent.
        """
        ...


def saved(row: Row, record_id: object, *, created: bool) -> Outcome:
    """The outcome of a row that took effect."""
    found = full_id(record_id) if isinstance(record_id, str) else None
    return Outcome(row.op_id, _STATUS[row.verb, created], found or row.record_id)


def refused(row: Row, errors: Iterable[Any]) -> Outcome:
    """The outcome of a row that Salesforce refused with errors in the shape of sObject Collections."""
    errors = list(errors)
    if row.verb in (Verb.UPDATE, Verb.DELETE) and is_gone(errors):
        return Outcome(row.op_id, OutcomeStatus.MISSING, row.record_id)
    return failed(row, row_error(errors, row.values.values()))


def failed(row: Row, error: CRMError) -> Outcome:
    """The outcome of a row that met an error."""
    return Outcome(row.op_id, OutcomeStatus.FAILED, row.record_id, error)


def of_result(row: Row, result: Any) -> Outcome:
    """The outcome of a row from its result in the answer of a collection."""
    if not isinstance(result, Mapping):
        return failed(row, UnexpectedResponseError("a row's result is not as documented"))
    if result.get("success") is True:
        return saved(row, result.get("id"), created=result.get("created") is True)
    return refused(row, result.get("errors") or ())


_STATUS = {
    (Verb.UPSERT, True): OutcomeStatus.CREATED,
    (Verb.UPSERT, False): OutcomeStatus.UPDATED,
    (Verb.INSERT, True): OutcomeStatus.CREATED,
    (Verb.INSERT, False): OutcomeStatus.CREATED,
    (Verb.UPDATE, True): OutcomeStatus.UPDATED,
    (Verb.UPDATE, False): OutcomeStatus.UPDATED,
    (Verb.DELETE, True): OutcomeStatus.DELETED,
    (Verb.DELETE, False): OutcomeStatus.DELETED,
}
