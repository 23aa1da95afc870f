"""What person accounts add to an org's objects.

"Account", Object Reference: the fields of a person account's contact show on the account, most of them with the prefix
``Person``, custom ones with the suffix ``__pc``; names, numbers and the description keep their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from crmsync.testing.salesforce.ids import make_id
from crmsync.testing.salesforce.schema import FieldDef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crmsync.testing.salesforce.schema import ObjectDef

PERSON: Final = "IsPersonAccount"
PERSON_CONTACT: Final = "PersonContactId"
RECORD_TYPE: Final = "RecordTypeId"
BUSINESS_TYPE: Final = make_id("012", 1)
PERSON_TYPE: Final = make_id("012", 2)
_NAMES: Final = ("LastName", "FirstName", "Salutation")
#: Fields that accounts have anyway; of a person account they are the contact's too.
SHARED: Final = ("Phone", "Fax", "Description")
#: Standard fields of a contact that its person account does not show: its own ones, and what a person has not.
_NOT_SHOWN: Final = frozenset(
    """Id IsDeleted MasterRecordId AccountId Name ReportsToId OwnerId CreatedDate CreatedById LastModifiedDate
    LastModifiedById SystemModstamp LastActivityDate LastViewedDate LastReferencedDate IsEmailBounced PhotoUrl Jigsaw
    JigsawContactId CleanStatus""".split()
)
_FLAG: Final = FieldDef(
    name=PERSON,
    label="Is Person Account",
    type="boolean",
    createable=False,
    updateable=False,
    nillable=False,
    defaulted_on_create=True,
    default=False,
)
#: No reference by relationship: the emulator joins none.
_CONTACT: Final = FieldDef(
    name=PERSON_CONTACT, label="Contact ID", type="reference", createable=False, updateable=False
)


_RECORD_TYPE: Final = FieldDef(name="RecordTypeId", label="Record Type ID", type="reference", length=18)


def account_name(contact_name: str) -> str:
    """The name on Account of a contact's field."""
    if contact_name in _NAMES or contact_name in SHARED:
        return contact_name
    return f"{contact_name[:-1]}pc" if contact_name.endswith("__c") else f"Person{contact_name}"


def pairs(contact: ObjectDef, account: ObjectDef) -> dict[str, str]:
    """The contact's fields that both have, with their names on Account."""
    named = ((name, account_name(name)) for name in contact.fields if name not in _NOT_SHOWN)
    return {name: theirs for name, theirs in named if theirs in account.fields}


def person_only(account: ObjectDef, contact: ObjectDef) -> set[str]:
    """The account's fields that only a person account may have a value in."""
    return set(pairs(contact, account).values()) - set(SHARED)


def with_person_accounts(objects: Mapping[str, ObjectDef]) -> dict[str, ObjectDef]:
    """The objects of an org in which person accounts are enabled."""
    account, contact = objects["Account"], objects["Contact"]
    shown = [_shown(entry) for name, entry in contact.fields.items() if name not in _NOT_SHOWN and name not in SHARED]
    return {
        **objects,
        "Account": account.with_fields([*shown, _FLAG, _CONTACT, _RECORD_TYPE]),
        "Contact": contact.with_fields([_FLAG]),
    }


def _shown(entry: FieldDef) -> FieldDef:
    """The account's field for a contact's. None is required, for a business account has no value there."""
    compound = entry.part_of if entry.part_of in (None, "Name") else account_name(entry.part_of)
    nillable = entry.nillable or entry.type != "boolean"
    name = account_name(entry.name)
    return evolve(
        entry, name=name, part_of=compound, nillable=nillable, relationship=None, children=None, cascade=False
    )
