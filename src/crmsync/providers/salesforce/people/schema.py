"""The fields of people: those that contacts and leads share, and the company."""

from __future__ import annotations

from crmsync.models.schema import FieldSchema, ObjectSchema
from crmsync.providers.salesforce.people.births import COMPANY
from crmsync.providers.salesforce.people.options import PERSON


def person_schema(contact: ObjectSchema, lead: ObjectSchema, contact_company: str | None = None) -> ObjectSchema:
    """What both objects have by the same name and type, as far as both allow it.

    The company is a lead's own field; of contacts it is ``contact_company``, if they have one that may be written.
    """
    theirs = {field.name: field for field in lead.fields}
    shared = [
        _shared(field, other)
        for field in contact.fields
        if (other := theirs.get(field.name)) is not None and other.type is field.type
    ]
    company = theirs.get(COMPANY)
    account = contact.field(contact_company) if contact_company else None
    if company is not None:
        length = _least(company.length, account.length if account else None)
        company = company.model_copy(update={"length": length})
        # Never missing: where a person has none, the store puts what stands for it.
        shared.append(company.model_copy(update={"required": False, "nillable": True}))
    return ObjectSchema(name=PERSON, label="Contact or Lead", fields=tuple(shared))


def _shared(one: FieldSchema, other: FieldSchema) -> FieldSchema:
    """A field as a value must be to fit both objects."""
    return one.model_copy(
        update={
            "length": _least(one.length, other.length),
            "precision": _least(one.precision, other.precision),
            "scale": _least(one.scale, other.scale),
            "required": one.required or other.required,
            "nillable": one.nillable and other.nillable,
            "readable": one.readable and other.readable,
            "createable": one.createable and other.createable,
            "updateable": one.updateable and other.updateable,
            "unique": one.unique and other.unique,
            "external_id": one.external_id and other.external_id,
            "options": _options(one, other),
            "restricted": one.restricted or other.restricted,
            "reference_to": tuple(dict.fromkeys((*one.reference_to, *other.reference_to))),
        }
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _options(one: FieldSchema, other: FieldSchema) -> tuple[str, ...]:
    """What a restricted list allows; of two lists that only suggest, everything."""
    if one.restricted and other.restricted:
        return tuple(option for option in one.options if option in other.options)
    if one.restricted or other.restricted:
        return one.options if one.restricted else other.options
    return tuple(dict.fromkeys((*one.options, *other.options)))
