"""A mapping proposed from the names of the reader's own columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from crmsync.errors import MissingExtraError
from crmsync.mapping.suggestions import PROPOSED, Ratio, plain_ratio, spelling_ratio
from crmsync.mapping.suggestions import propose as suggest
from crmsync.models.mappings import ObjectMapping
from crmsync.models.schema import FieldSchema, ObjectSchema

_SURE: Final = 0.8
"""The score from which on a column is written into the file without being asked for."""

#: Further fields of Salesforce's Contact and Lead, as comments for the reader to switch on.
_FURTHER: Final = ObjectSchema(
    name="further",
    fields=tuple(
        FieldSchema(name=name, label=label)
        for name, label in {
            "MailingStreet": "Mailing Street",
            "MailingCity": "Mailing City",
            "MailingState": "Mailing State/Province",
            "MailingPostalCode": "Mailing Zip/Postal Code",
            "MailingCountry": "Mailing Country",
            "MobilePhone": "Mobile Phone",
            "HomePhone": "Home Phone",
            "Fax": "Business Fax",
            "Title": "Job Title",
            "Salutation": "Salutation",
            "Department": "Department",
            "Birthdate": "Birthdate",
            "LeadSource": "Lead Source",
            "Description": "Contact Description",
        }.items()
    ),
)


@attrs.frozen
class Proposal:
    """The default mapping with the reader's column names.

    ``unmapped`` are the other columns, each with a field of the CRM that it may correspond to, or nothing.
    """

    mapping: ObjectMapping
    unmapped: Mapping[str, str]


def propose(columns: Sequence[str], default: ObjectMapping, *, key: str) -> Proposal:
    """Fit a default mapping to these columns, best names first; each column and field is used once."""
    ratio = _ratio()
    crm = ObjectSchema(
        name="default",
        fields=tuple(FieldSchema(name=field.crm_field, label=field.markmail_field) for field in default.fields),
    )
    found = suggest(_columns(columns), crm, ratio, least=_SURE)
    chosen = {one.crm_field: one.local_field for one in found.fields}
    fields = tuple(
        field.model_copy(update={"markmail_field": chosen[field.crm_field]})
        for field in default.fields
        if field.crm_field in chosen
    )
    local_email = next((one.markmail_field for one in fields if one.crm_field == default.match.remote_email), "")
    match = default.match.model_copy(update={"local_email": local_email})
    used = {key, *chosen.values()}
    mapping = default.model_copy(update={"fields": fields, "match": match})
    return Proposal(mapping, {column: _further(column, ratio) for column in columns if column not in used})


def _columns(names: Iterable[str]) -> ObjectSchema:
    return ObjectSchema(name="columns", fields=tuple(FieldSchema(name=name) for name in names))


def _further(column: str, ratio: Ratio) -> str:
    found = suggest(_columns([column]), _FURTHER, ratio, least=PROPOSED)
    return next((one.crm_field for one in found.fields), "")


def _ratio() -> Ratio:
    try:
        return spelling_ratio()
    except MissingExtraError:
        # For the columns of one file the standard library is quick enough.
        return plain_ratio
