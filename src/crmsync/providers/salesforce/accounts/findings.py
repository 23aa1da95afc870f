"""What a test of the connection says about accounts."""

from __future__ import annotations

from crmsync.errors import AccessDeniedError
from crmsync.models.problems import Problem
from crmsync.providers.salesforce.accounts.directory import described, with_company
from crmsync.providers.salesforce.accounts.names import COMPANY
from crmsync.providers.salesforce.objects.options import AccountMode
from crmsync.providers.salesforce.objects.parents import Describe
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.settings import SalesforceSettings


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
