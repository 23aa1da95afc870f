"""Person accounts for new people, in the place of contacts.

"Account", Object Reference: an account shows its person's fields by other names than the contact does. A new account
with a last name is a person account ("Accessing sObject Fields", Apex Developer Guide), and its contact comes with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import anyio
import attrs

from crmsync.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConflictError,
    CRMError,
    DuplicateError,
    RecordError,
    RejectedError,
    SchemaChangedError,
    UnexpectedResponseError,
)
from crmsync.models.records import MISSING, Fields, Operation, OperationKind, Outcome, OutcomeStatus
from crmsync.providers.salesforce.accounts.names import COMPANY, folded
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.parents import Describe
from crmsync.providers.salesforce.retrieving import retrieve
from crmsync.providers.salesforce.rows import IS_PERSON, RowReader
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.writing import Writer
from crmsync.providers.salesforce.writing.bulk import BulkChannel
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.reconciling import Reconciler
from crmsync.providers.salesforce.writing.rows import Sends, columns

_CONTACT: Final = "PersonContactId"
_NEEDED: Final = ("LastName", _CONTACT)
_SAME: Final = frozenset(
    "FirstName LastName MiddleName Suffix Salutation Phone Fax Description OwnerId CurrencyIsoCode".split()
)
"""Fields that an account shows by the contact's own name for them."""


def named_on_account(name: str) -> str:
    """The name of a contact's field on Account, if that shows it at all."""
    if name.endswith("__c"):
        return f"{name[:-1]}pc"
    return name if name in _SAME else f"Person{name}"


async def described_for_persons(contact: SObject, key_field: str, describe: Describe) -> SObject:
    """The describe of Account, where the setting ``person_accounts = "create"`` can be followed.

    ``key_field`` is the external key of contacts, if they have one.

    :raises ConfigurationError: the org has no person accounts.
    :raises AccessDeniedError: this user may not create any.
    """
    if IS_PERSON not in contact.fields:
        raise ConfigurationError(
            f'person_accounts = "create", but the org has no person accounts, or hides Contact.{IS_PERSON} from this'
            ' user: set person_accounts = "leave"'
        )
    try:
        account = await describe("Account")
    except SchemaChangedError:
        hidden = ["Account"]
    else:
        needed = (*_NEEDED, named_on_account(key_field)) if contact.external_key(key_field) else _NEEDED
        hidden = [f"Account.{name}" for name in needed if name not in account.fields]
        if not hidden and account.createable and account.fields["LastName"].createable:
            return account
    what = f"{hidden[0]} is hidden from this user" if hidden else "this user may not create accounts"
    raise AccessDeniedError(
        f'person_accounts = "create", but {what}: grant create access to Account and read access to its fields'
    )


class NewPersons:
    """Creates people without a company as person accounts; their records are the contacts that come with these.

    ``accounts`` writes accounts, as `open_account_writer` opens it.
    """

    def __init__(self, client: SalesforceClient, contact: SObject, account: SObject, accounts: Sends) -> None:
        self._client = client
        self._contact = contact
        self._account = account
        self._accounts = accounts
        self._names = {name: shown for name in contact.fields if (shown := named_on_account(name)) in account.fields}
        self._key = self._names.get(client.settings.external_id_field)

    def take(self, operation: Operation) -> bool:
        """Whether an operation makes a person account: a new person with a last name, and with no company."""
        fields = operation.fields
        company, account = fields.get(COMPANY), fields.get("AccountId", MISSING)
        at_work = (isinstance(company, str) and bool(folded(company))) or account not in (None, MISSING)
        return operation.kind is OperationKind.CREATE and not at_work and bool(_last_name(fields))

    async def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """See `Writer.write`."""
        outcomes: dict[int, Outcome] = {}
        due: dict[int, Operation] = {}
        left: dict[int, tuple[RecordError, ...]] = {}
        for position, operation in enumerate(operations):
            try:
                due[position], left[position] = self._translated(operation)
            except CRMError as error:
                outcomes[position] = Outcome(operation.op_id, OutcomeStatus.FAILED, None, error)
        answered = await self._accounts.write(list(due.values())) if due else []
        for position, outcome in zip(due, await self._as_contacts(answered), strict=True):
            unwritten = left[position] if outcome.ok else ()
            outcomes[position] = attrs.evolve(outcome, unwritten=(*outcome.unwritten, *unwritten))
        return [outcomes[position] for position in range(len(operations))]

    def _translated(self, operation: Operation) -> tuple[Operation, tuple[RecordError, ...]]:
        """The operation for the account, and why some of its fields are left out."""
        fields: dict[str, object] = {}
        errors: list[RecordError] = []
        for name, value in columns(self._contact, operation.fields, creates=True):
            if value is None or value is MISSING or name == self._client.settings.external_id_field:
                continue
            theirs = self._names.get(name)
            if theirs is None:
                errors.append(_not_shown(name))
            else:
                fields[theirs] = value
        if self._client.settings.person_record_type:
            fields["RecordTypeId"] = self._client.settings.person_record_type
        if self._key and operation.key and not self._account.external_key(self._key):
            fields[self._key] = operation.key
        return attrs.evolve(operation, fields=fields), tuple(errors)

    async def _as_contacts(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes of accounts as those of their contacts."""
        told = dict.fromkeys(each for outcome in outcomes for each in (outcome.id, *_existing(outcome.error)) if each)
        accounts = [each for each in told if each.startswith(self._account.key_prefix)]
        error: CRMError = UnexpectedResponseError("Salesforce created an account, but told of no person in it")
        contacts: Mapping[str, str] = {}
        if accounts:
            try:
                reader = RowReader(self._account, None, None)
                found = await retrieve(self._client, reader, accounts, (_CONTACT,))
                contacts = {each.id: contact for each in found.values() if (contact := _contact_of(each.fields))}
            except CRMError as failure:
                error = failure
        return [self._as_contact(outcome, contacts, error) for outcome in outcomes]

    def _as_contact(self, outcome: Outcome, contacts: Mapping[str, str], error: CRMError) -> Outcome:
        if outcome.ok:
            contact = contacts.get(outcome.id or "")
            status = outcome.status if contact else OutcomeStatus.FAILED
            return attrs.evolve(outcome, id=contact, status=status, error=None if contact else error)
        failed = outcome.error
        if isinstance(failed, RecordError) and failed.field:
            failed.field = next((name for name, theirs in self._names.items() if theirs == failed.field), failed.field)
        known = tuple(contacts.get(each, each) for each in _existing(failed))
        if isinstance(failed, DuplicateError):
            failed.existing_id = next(iter(known), None)
        elif isinstance(failed, ConflictError):
            failed.candidates = known
        return outcome


def open_account_writer(
    client: SalesforceClient,
    account: SObject,
    user_id: Callable[[], Awaitable[str | None]],
    limiter: anyio.CapacityLimiter,
) -> Writer:
    """What writes the accounts that are persons, by the external key that they show of their contacts."""
    shown = named_on_account(client.settings.external_id_field)
    key = shown if account.external_key(shown) else None
    collections = CollectionsChannel(client, "Account", key, limiter, Reconciler(client, account, user_id))
    return Writer(client, account, key, collections, BulkChannel(client, "Account", key))


def _last_name(fields: Fields) -> object:
    name = fields.get("Name")
    return fields.get("LastName") or (name.get("last_name") if isinstance(name, Mapping) else None)


def _existing(error: CRMError | None) -> tuple[str, ...]:
    """The records that an error names."""
    if isinstance(error, DuplicateError):
        return (error.existing_id,) if error.existing_id else ()
    return error.candidates if isinstance(error, ConflictError) else ()


def _contact_of(fields: Fields) -> str | None:
    found = fields.get(_CONTACT)
    return full_id(found) if isinstance(found, str) else None


def _not_shown(name: str) -> RecordError:
    return RejectedError(
        f"a person account shows this user no field for {name}: give read and edit access to the field, or stop mapping"
        " it to the CRM",
        code="no_counterpart",
        field=name,
    )
