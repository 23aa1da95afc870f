"""What a test of the connection says about accounts."""

from __future__ import annotations

from typing import Final

from crmsync.errors import AccessDeniedError, ConfigurationError
from crmsync.models.problems import Problem
from crmsync.providers.salesforce.accounts.directory import described, with_company
from crmsync.providers.salesforce.accounts.names import COMPANY
from crmsync.providers.salesforce.accounts.new_persons import described_for_persons
from crmsync.providers.salesforce.objects.options import AccountMode, PersonMode
from crmsync.providers.salesforce.objects.parents import Describe
from crmsync.providers.salesforce.rows import IS_PERSON
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import SalesforceSettings

_PERSON_ACCOUNTS: Final = (
    "this org has person accounts. Their contacts are read and updated like any other, have no company, and are deleted"
    " with their account"
)


async def account_warnings(settings: SalesforceSettings, describe: Describe) -> list[str]:
    """What the user may not do that the setting ``accounts`` asks for."""
    if settings.accounts is AccountMode.LEAVE:
        return []
    try:
        account = await described(describe)
        contact = with_company(await describe("Contact"), account)
    except AccessDeniedError as error:
        return [error.message]
    warnings = []
    if not contact.fields[COMPANY].updateable:
        warnings.append("Contact.AccountId cannot be written by this user: no contact is linked to an account")
    if settings.accounts is not AccountMode.CREATE:
        return warnings
    name = account.fields["Name"]
    if not (account.createable and name.createable):
        warnings.append('accounts = "create", but this user may not create accounts: grant create access to Account')
    return warnings + [f"{each.message}. {each.remedy}" for each in unkeyed(settings, account)]


async def person_warnings(settings: SalesforceSettings, describe: Describe) -> list[str]:
    """What person accounts mean for the people of the settings, where the org has any or is to have."""
    creates = settings.person_accounts is PersonMode.CREATE
    contact = await describe("Contact") if "Contact" in settings.people.objects else None
    if contact is None or not (creates or IS_PERSON in contact.fields):
        return []
    born = f"a new person becomes {'one' if creates else 'a contact and no person account'}"
    warnings = [f"{_PERSON_ACCOUNTS}; {born}"] if IS_PERSON in contact.fields else []
    if creates:
        try:
            await described_for_persons(contact, settings.external_id_field, describe)
        except (AccessDeniedError, ConfigurationError) as error:
            warnings.append(error.message)
    return warnings


def unkeyed(settings: SalesforceSettings, account: SObject) -> list[Problem]:
    """What is said if nothing but the bookkeeping keeps accounts from being made twice."""
    key = settings.account_key_field
    if settings.accounts is not AccountMode.CREATE or (key is not None and account.external_key(key)):
        return []
    risk = "programs without a common bookkeeping may make one account twice"
    kind = "(Text 64, External ID, Unique)"
    if key is None:
        fault = 'accounts = "create" without account_key_field'
        remedy = f"Add a field to Account {kind}, give the user access, and name it in account_key_field"
    else:
        fault = f"Account has no external id field {key} that this user may write"
        remedy = f"Add it {kind} and give the user access"
    return [Problem("account_key_field", "unkeyed_accounts", f"{fault}: {risk}", remedy)]
