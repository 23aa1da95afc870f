"""A mapping proposed from the names of the reader's own columns."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from crmsync.models.mappings import FieldMapping, ObjectMapping

_LEAST: Final = 0.84

#: What people call the fields of a person, by how our default mappings call them.
_OTHER_NAMES: Final = {
    "email": ("emailaddress", "mail", "primaryemail", "workemail", "courriel"),
    "firstname": ("givenname", "forename", "first", "vorname", "prenom", "nombre"),
    "lastname": ("surname", "familyname", "last", "nachname", "nom", "apellido", "apellidos"),
    "phone": ("telephone", "phonenumber", "tel", "telefon", "workphone", "businessphone"),
    "company": ("companyname", "organisation", "organization", "employer", "firma", "accountname"),
    "tags": ("labels", "segments", "groups", "lists"),
    "optedout": ("emailoptout", "optout", "unsubscribed", "hasoptedoutofemail", "donotemail", "optedoutofemail"),
}

#: Further fields of Salesforce's Contact and Lead, as comments for the reader to switch on.
_FURTHER: Final = {
    "MailingStreet": ("address", "street", "streetaddress", "address1", "strasse"),
    "MailingCity": ("city", "town", "ort", "ville"),
    "MailingState": ("state", "province", "region"),
    "MailingPostalCode": ("postalcode", "zip", "zipcode", "postcode", "plz"),
    "MailingCountry": ("country", "land", "pays"),
    "MobilePhone": ("mobile", "cell", "cellphone", "handy"),
    "Fax": ("faxnumber",),
    "Title": ("jobtitle", "position"),
    "Department": (),
    "Birthdate": ("birthday", "dateofbirth", "dob"),
    "Description": ("notes", "comment", "comments"),
}


@attrs.frozen
class Proposal:
    """The default mapping with the reader's column names.

    ``unmapped`` are the other columns, each with a field of the CRM that it may correspond to, or nothing.
    """

    mapping: ObjectMapping
    unmapped: Mapping[str, str]


def propose(columns: Sequence[str], default: ObjectMapping, *, key: str) -> Proposal:
    """Fit a default mapping to these columns, best names first; each column and field is used once."""
    scored = sorted(
        (
            (_similarity(column, field), -place, column)
            for place, field in enumerate(default.fields)
            for column in columns
        ),
        reverse=True,
    )
    chosen: dict[int, str] = {}
    for score, place, column in scored:
        if score >= _LEAST and -place not in chosen and column not in chosen.values():
            chosen[-place] = column
    fields = tuple(
        default.fields[place].model_copy(update={"markmail_field": column}) for place, column in sorted(chosen.items())
    )
    local_email = next((one.markmail_field for one in fields if one.crm_field == default.match.remote_email), "")
    match = default.match.model_copy(update={"local_email": local_email})
    used = {key, *chosen.values()}
    mapping = default.model_copy(update={"fields": fields, "match": match})
    return Proposal(mapping, {column: _further(column) for column in columns if column not in used})


def _further(column: str) -> str:
    name = _normal(column)
    return next((field for field, others in _FURTHER.items() if name in (field.lower(), *others)), "")


def _similarity(column: str, field: FieldMapping) -> float:
    name = _normal(column)
    known = {_normal(field.markmail_field), _normal(field.crm_field)}
    if name in known:
        return 1.0
    if any(name in others for canonical, others in _OTHER_NAMES.items() if known & {canonical, *others}):
        return 0.95
    return max(difflib.SequenceMatcher(None, name, one).ratio() for one in known)


def _normal(name: str) -> str:
    bare = re.sub(r"(?i)__c$|^markmail_?", "", name)
    return re.sub(r"[^a-z0-9]", "", bare.lower())
