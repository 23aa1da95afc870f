"""Contacts of person accounts, where what is asked of them is their account's.

"Person Account Record Types" (SOAP API Developer Guide): such a contact can be modified, by any channel, like any
other. It cannot be deleted by itself: its account is. And it is the only one of its account for good: a call that
names another account or record type is refused as a whole (Salesforce Help 005305352 on the record type), and whom it
reports to does not show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import attrs

from crmsync.errors import ProviderError, RecordError, RejectedError
from crmsync.models.records import MISSING, Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.providers.salesforce.accounts.names import COMPANY, OWN
from crmsync.providers.salesforce.accounts.new_persons import NewPersons
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.retrieving import retrieve
from crmsync.providers.salesforce.rows import IS_PERSON, RowReader
from crmsync.providers.salesforce.writing.rows import Sends, Writes

_ACCOUNT: Final = "AccountId"


@attrs.frozen(slots=True)
class Persons:
    """What writes the accounts of an org that are persons, and what makes new ones, if new people are to be persons."""

    accounts: Writes
    births: NewPersons | None = None


class PersonWriter:
    """Writes like a `Writer`, and deletes the accounts of those contacts that are persons.

    Which contacts are persons is asked only where something is to be written that they take differently.
    """

    def __init__(
        self, inner: Writes, client: SalesforceClient, reader: Callable[[], Awaitable[RowReader]], persons: Persons
    ) -> None:
        self._inner = inner
        self._client = client
        self._reader = reader
        self._accounts = persons.accounts
        self._births = persons.births

    @property
    def batch(self) -> int:
        """See `Writer.batch`."""
        return self._inner.batch

    async def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """See `Writer.write`."""
        persons = await self._persons(operations)
        due, gone, born = dict[int, Operation](), dict[int, Operation](), dict[int, Operation]()
        outcomes: dict[int, Outcome] = {}
        left: dict[int, tuple[RecordError, ...]] = {}
        for position, operation in enumerate(operations):
            account = persons.get(_id(operation))
            if account is None:
                takes = self._births is not None and self._births.take(operation)
                (born if takes else due)[position] = operation
            elif operation.kind is OperationKind.DELETE:
                gone[position] = attrs.evolve(operation, id=account)
            else:
                rest, left[position] = _parted(operation)
                if rest.fields or operation.key is not None:
                    due[position] = rest
                else:
                    outcomes[position] = _answered(operation, left.pop(position))
        for writer, part in ((self._inner, due), (self._births, born), (self._accounts, gone)):
            if part and writer is not None:
                outcomes |= await _sent(writer, part, partly=bool(outcomes))
        for position in gone:
            outcomes[position] = attrs.evolve(outcomes[position], id=operations[position].id)
        for position, errors in left.items():
            if (outcome := outcomes[position]).ok:
                outcomes[position] = attrs.evolve(outcome, unwritten=(*outcome.unwritten, *errors))
        return [outcomes[position] for position in range(len(operations))]

    async def _persons(self, operations: Sequence[Operation]) -> Mapping[str, str]:
        """The accounts of those that are persons, by the contact's id."""
        asked = dict.fromkeys(_id(operation) for operation in operations if _may_differ(operation))
        wanted = [contact for contact in asked if contact]
        if not wanted:
            return {}
        found = await retrieve(self._client, await self._reader(), wanted, (IS_PERSON, _ACCOUNT))
        accounts = {each.id: each.fields.get(_ACCOUNT) for each in found.values() if each.fields.get(IS_PERSON) is True}
        return {contact: account for contact, account in accounts.items() if isinstance(account, str)}


async def _sent(writer: Sends, part: Mapping[int, Operation], *, partly: bool) -> dict[int, Outcome]:
    """The outcomes of a part; once others took effect, a failing call is its rows' outcome."""
    try:
        answered = await writer.write(list(part.values()))
    except ProviderError as error:
        if not partly:
            raise
        return {position: _failed(operation, error) for position, operation in part.items()}
    return dict(zip(part, answered, strict=True))


def _answered(operation: Operation, errors: Sequence[RecordError]) -> Outcome:
    """What became of an update of which nothing is left to write."""
    if errors:
        return _failed(operation, errors[0])
    return Outcome(operation.op_id, OutcomeStatus.UPDATED, operation.id)


def _may_differ(operation: Operation) -> bool:
    deletes, updates = operation.kind is OperationKind.DELETE, operation.kind is OperationKind.UPDATE
    return deletes or (updates and any(operation.fields.get(name, MISSING) is not MISSING for name in OWN))


def _parted(operation: Operation) -> tuple[Operation, tuple[RecordError, ...]]:
    """What of an update its contact can take, and why it cannot take the rest. It has no company, as it may be told."""
    fields = {name: value for name, value in operation.fields.items() if name not in OWN}
    asked = {name for name in OWN if operation.fields.get(name, MISSING) is not MISSING}
    if operation.fields.get(COMPANY) is None:
        asked.discard(COMPANY)
    errors = tuple(_refused(name) for name in OWN if name in asked)
    return attrs.evolve(operation, fields=fields), errors


def _refused(name: str) -> RecordError:
    what = "no company but the person itself" if name in (COMPANY, _ACCOUNT) else f"no {name} of its own"
    return RejectedError(
        f"the contact is a person account's, which has {what}: clear the value, stop mapping it to the CRM, or ignore"
        " this reject",
        code="person_account",
        field=name,
    )


def _failed(operation: Operation, error: ProviderError | RecordError) -> Outcome:
    return Outcome(operation.op_id, OutcomeStatus.FAILED, operation.id, error)


def _id(operation: Operation) -> str:
    return full_id(operation.id or "") or ""
