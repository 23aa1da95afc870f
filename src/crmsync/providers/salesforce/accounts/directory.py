"""Finds the accounts that names mean, and makes those that are missing, each once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import anyio

from crmsync.errors import AccessDeniedError, ConflictError, CRMError, RecordError, RejectedError, SchemaChangedError
from crmsync.models.records import Operation, OperationKind
from crmsync.models.schema import FieldSchema
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.accounts.names import COMPANY, collapsed, folded, key_of
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.options import AccountMode
from crmsync.providers.salesforce.objects.parents import Describe
from crmsync.providers.salesforce.orgs import exclusive
from crmsync.providers.salesforce.retrieving import query_all
from crmsync.providers.salesforce.rows import IS_PERSON
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.reconciling import Reconciler
from crmsync.providers.salesforce.writing.rows import plan_writes

_SHOWN: Final = 5
"""Candidates that a message names; all of them are among the error's ``candidates``."""


class Accounts:
    """The accounts of an org, by name.

    One account of a name is found once a connection; a name that none or several have is looked up each time.
    """

    def __init__(self, client: SalesforceClient, sobject: SObject, channel: CollectionsChannel) -> None:
        self.sobject = sobject
        self.key_field = key_field_of(client, sobject)
        self.creates = client.settings.accounts is AccountMode.CREATE
        self._client = client
        self._channel = channel
        self._known: dict[str, str] = {}

    def making(self) -> AbstractAsyncContextManager[None]:
        """To be held by whoever makes some, from the look-up on: otherwise two make one account each of one name."""
        return exclusive(self._client, "accounts")

    async def find(self, names: Iterable[str]) -> Mapping[str, str | RecordError]:
        """By folded name: the id of its one account, or why it cannot be told. Names that no account has are absent.

        An account that carries the name's key goes before the others of the name, and before any if it was renamed.
        """
        wanted = {folded(name): collapsed(name) for name in names}
        found: dict[str, str | RecordError] = dict(self.known(wanted))
        rest = {name: given for name, given in wanted.items() if name not in found}
        for name, rows in (await self._by_name(rest)).items():
            found[name] = self._one(name, rows)
        if self.key_field:
            missing = {key_of(name): name for name in rest if name not in found}
            for row in await self._rows(self.key_field, missing):
                found[missing[str(row.get(self.key_field))]] = _id(row)
        self._known.update((name, account) for name, account in found.items() if isinstance(account, str))
        return found

    def known(self, names: Iterable[str]) -> Mapping[str, str]:
        """As `find`, without asking: what was found or made before."""
        return {name: self._known[name] for name in map(folded, names) if name in self._known}

    async def _by_name(self, wanted: Mapping[str, str]) -> Mapping[str, list[Any]]:
        by_name: dict[str, list[Any]] = {}
        for row in await self._rows("Name", wanted.values()):
            name = folded(str(row.get("Name") or ""))
            # No contact can belong to a person ("Person Account Record Types", SOAP API Developer Guide).
            if name in wanted and row.get(IS_PERSON) is not True:
                by_name.setdefault(name, []).append(row)
        return by_name

    async def _rows(self, field: str, values: Iterable[str]) -> list[Any]:
        columns = self.sobject.readable(("Id", "Name", self.key_field or "", IS_PERSON))
        rows = []
        for statement in soql.select_in(columns, "Account", field, values):
            rows += await query_all(self._client, statement)
        return rows

    def _one(self, name: str, rows: list[Any]) -> str | RecordError:
        ours = [row for row in rows if self.key_field and row.get(self.key_field) == key_of(name)]
        if len(ours or rows) == 1:
            return _id((ours or rows)[0])
        ids = sorted(_id(row) for row in rows)
        shown = ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
        message = f"{len(ids)} accounts have this name: {shown}; merge them in Salesforce, or rename all but one"
        return ConflictError(message, field=COMPANY, candidates=ids)

    async def create(self, names: Iterable[str]) -> Mapping[str, str | RecordError]:
        """By folded name: the id of a new account, or why there is none. Only while holding ``making``.

        :raises ProviderError: the calls failed as a whole.
        """
        given = {folded(name): collapsed(name) for name in names}
        operations = [
            Operation(
                name,
                OperationKind.CREATE,
                None,
                key=key_of(name) if self.key_field else None,
                fields={"Name": shown},
            )
            for name, shown in given.items()
        ]
        plan = plan_writes(operations, self.sobject, self.key_field)
        outcomes = dict(plan.outcomes)
        for verb, rows in (pair for each in plan.rounds for pair in each.items()):
            sent = await self._channel.send(verb, rows)
            sent.raise_if_nothing_arrived()
            outcomes |= sent.outcomes
        made: dict[str, str | RecordError] = {}
        for position, name in enumerate(given):
            outcome = outcomes[position]
            made[name] = outcome.id if outcome.ok and outcome.id else _refused(outcome.error)
        self.note({name: account for name, account in made.items() if isinstance(account, str)})
        return made

    async def find_anew(self, names: Iterable[str]) -> Mapping[str, str | RecordError]:
        """As `find`, trusting nothing that was found before."""
        for name in (names := list(names)):
            self._known.pop(folded(name), None)
        return await self.find(names)

    def note(self, made: Mapping[str, str]) -> None:
        """Remember accounts that were made, by folded name."""
        self._known.update(made)

    @property
    def may_create(self) -> bool:
        """Whether this user may make accounts."""
        name = self.sobject.fields.get("Name")
        return self.sobject.createable and name is not None and name.createable


def open_accounts(
    client: SalesforceClient,
    account: SObject,
    user_id: Callable[[], Awaitable[str | None]],
    limiter: anyio.CapacityLimiter,
) -> Accounts:
    """The accounts of a connection."""
    reconciler = Reconciler(client, account, user_id)
    channel = CollectionsChannel(client, "Account", key_field_of(client, account), limiter, reconciler)
    return Accounts(client, account, channel)


def key_field_of(client: SalesforceClient, account: SObject) -> str | None:
    """The external key of accounts that the settings name, if the org has it and the user may write it."""
    name = client.settings.account_key_field
    return name if name and account.external_key(name) else None


async def described(describe: Describe) -> SObject:
    """The describe of Account.

    :raises AccessDeniedError: it is hidden from this user.
    """
    try:
        return await describe("Account")
    except SchemaChangedError:
        raise AccessDeniedError(
            "the setting accounts needs the object Account, which is hidden from this user: grant read access to it"
            ' (and, for accounts = "create", create access), or set accounts = "leave"'
        ) from None


def with_company(contact: SObject, account: SObject) -> SObject:
    """The contact with the company's name as a field of its own, writable where ``AccountId`` is.

    :raises AccessDeniedError: ``AccountId`` or the name of accounts is hidden from this user.
    """
    reference, name = contact.fields.get("AccountId"), account.fields.get("Name")
    if reference is None or name is None:
        hidden = "Contact.AccountId" if reference is None else "Account.Name"
        raise AccessDeniedError(f"the setting accounts needs {hidden}, which field-level security hides from this user")
    company = FieldSchema(
        name=COMPANY,
        label=f"Account: {name.label or name.name}",
        length=name.length,
        createable=reference.createable,
        updateable=reference.updateable,
    )
    return contact.with_fields([company])


def missing(mode: AccountMode) -> RecordError:
    """What is said of a name that no account has, where none is made."""
    if mode is AccountMode.CREATE:
        message = "no account has this name, and this user may not create accounts: grant create access to Account"
    else:
        message = 'no account has this name: create it in Salesforce, or set accounts = "create"'
    return RejectedError(message, code="no_account", field=COMPANY)


def _refused(error: CRMError | None) -> RecordError:
    message = error.message if error else "Salesforce did not say why"
    code = error.code if isinstance(error, RecordError) else "unavailable"
    existing = getattr(error, "existing_id", None)
    if existing:
        return ConflictError(f"the account: {message} ({existing})", code=code, field=COMPANY, candidates=(existing,))
    return RejectedError(f"the account: {message}", code=code, field=COMPANY)


def _id(row: Mapping[str, Any]) -> str:
    return full_id(str(row.get("Id"))) or ""
