"""A describe, read into our schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

import attrs

from crmsync.errors import UnexpectedResponseError
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.providers.salesforce.compounds import columns_of, with_parts

FIELD_TYPES: Final[Mapping[str, FieldType]] = {
    "id": FieldType.ID,
    "string": FieldType.TEXT,
    "textarea": FieldType.TEXT,
    "encryptedstring": FieldType.ENCRYPTED,
    "email": FieldType.EMAIL,
    "phone": FieldType.PHONE,
    "url": FieldType.URL,
    "int": FieldType.INTEGER,
    "long": FieldType.INTEGER,
    "double": FieldType.DECIMAL,
    "currency": FieldType.CURRENCY,
    "percent": FieldType.PERCENT,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "time": FieldType.TIME,
    "picklist": FieldType.PICKLIST,
    "combobox": FieldType.PICKLIST,
    "multipicklist": FieldType.MULTI_PICKLIST,
    "reference": FieldType.REFERENCE,
    "address": FieldType.ADDRESS,
    "location": FieldType.GEOLOCATION,
}
"""Describe types ("Field Types", Object Reference). The others - base64, anyType, complexvalue - are not synced."""


OPT_OUT: Final = "HasOptedOutOfEmail"
_OPT_OUT: Final = FieldSchema(
    name=OPT_OUT,
    label="Email Opt Out",
    type=FieldType.BOOLEAN,
    nillable=False,
    readable=False,
    createable=False,
    updateable=False,
)
STANDARD: Final[Mapping[str, tuple[FieldSchema, ...]]] = {"Contact": (_OPT_OUT,), "Lead": (_OPT_OUT,)}
"""Fields that these objects have in every org: where a describe lacks one, field-level security hides it ("Contact" and
"Lead", Object Reference). Consent must not get lost without a word, so it is described all the same, as hidden."""


@attrs.frozen(slots=True)
class Relationship:
    """A reference field's way to its parent: ``Account`` of ``AccountId``, which leads to records of ``targets``."""

    field: str
    targets: tuple[str, ...]

    @property
    def polymorphic(self) -> bool:
        """Whether parents are of several objects; of those only the fields of ``Name`` can be read."""
        return len(self.targets) > 1


@attrs.frozen(slots=True)
class SObject:
    """What a describe says of one object: its schema, and what only this provider needs."""

    schema: ObjectSchema
    fields: Mapping[str, FieldSchema]
    """Those that this user sees, by name."""
    keeps_deletes: bool
    """Deleted records stay in the recycle bin with ``IsDeleted`` true, and `queryAll` shows them."""
    tells_merges: bool
    """A merge leaves ``MasterRecordId`` on the loser."""
    replicateable: bool
    """`getDeleted` and `getUpdated` work on it."""
    tells_editor: bool
    """``LastModifiedById`` can be read."""
    tells_changes: bool
    """``SystemModstamp`` can be read."""
    createable: bool = True
    """This user may create records."""
    relationships: Mapping[str, Relationship] = attrs.field(factory=dict)
    """By the relationship's name."""
    ignoring_case: frozenset[str] = frozenset()
    """Unique fields for which "ABC" and "abc" are duplicates."""
    key_prefix: str = ""
    """What the ids of its records begin with."""
    follows_conversion: bool = False
    """A converted lead counts as folded into its contact. Else it is a record like any other."""

    def with_fields(self, added: Iterable[FieldSchema]) -> SObject:
        """With more fields: those of parents, by dotted names."""
        by_name = {**self.fields, **{field.name: field for field in added}}
        hidden = tuple(field for field in self.schema.fields if not field.readable)
        schema = self.schema.model_copy(update={"fields": (*by_name.values(), *hidden)})
        return attrs.evolve(self, schema=schema, fields=by_name)

    def readable(self, names: Iterable[str]) -> tuple[str, ...]:
        """What to ask for to know these fields, once each, in order; those that cannot be asked for are left out."""
        known = (columns_of(self.fields, name) for name in names if name in self.fields)
        return tuple(dict.fromkeys(chain.from_iterable(known)))

    def external_key(self, field: str) -> bool:
        """Whether the field can be the key of an upsert for this user."""
        found = self.fields.get(field)
        return found is not None and found.external_id and found.createable

    def compared(self, field: str, key: str) -> str:
        """An external key as an upsert compares it: two keys of one form are one record.

        Case matters unless the field was made unique and to ignore it ("Upserting Records", Apex Developer Guide);
        spaces at the ends of a text are never stored.
        """
        bare = key.strip()
        return bare.casefold() if field in self.ignoring_case else bare


def read_describe(body: object) -> SObject:
    """Read the answer of ``/sobjects/X/describe``.

    :raises UnexpectedResponseError: it is no describe.
    """
    try:
        assert isinstance(body, Mapping)
        described = [entry for entry in body["fields"] if entry["type"] in FIELD_TYPES]
        fields = with_parts(map(_field, described), described)
        hidden = tuple(f for f in STANDARD.get(body["name"], ()) if f.name not in {field.name for field in fields})
        schema = ObjectSchema(name=body["name"], label=body.get("label") or "", fields=(*fields, *hidden))
        ignoring_case = frozenset(
            entry["name"] for entry in body["fields"] if entry.get("unique") and not entry.get("caseSensitive")
        )
        replicateable = bool(body.get("replicateable"))
        relationships = {
            entry["relationshipName"]: Relationship(entry["name"], tuple(entry["referenceTo"]))
            for entry in body["fields"]
            if entry.get("relationshipName") and entry.get("referenceTo")
        }
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise UnexpectedResponseError("Salesforce's describe is not as documented") from error
    by_name = {field.name: field for field in fields}
    return SObject(
        schema=schema,
        fields=by_name,
        keeps_deletes="IsDeleted" in by_name,
        tells_merges="MasterRecordId" in by_name,
        replicateable=replicateable,
        tells_editor="LastModifiedById" in by_name,
        tells_changes="SystemModstamp" in by_name,
        createable=bool(body.get("createable", True)),
        relationships=relationships,
        ignoring_case=ignoring_case,
        key_prefix=body.get("keyPrefix") or "",
    )


def _field(entry: Mapping[str, Any]) -> FieldSchema:
    kind = FIELD_TYPES[entry["type"]]
    createable = bool(entry["createable"])
    nillable = bool(entry["nillable"])
    return FieldSchema(
        name=entry["name"],
        label=entry.get("label") or "",
        type=kind,
        length=entry.get("length") or None,
        precision=entry.get("precision") or entry.get("digits") or None,
        scale=entry.get("scale") if kind in _NUMBERS else _FRACTIONS.get(kind),
        required=createable and not nillable and not entry.get("defaultedOnCreate") and kind is not FieldType.BOOLEAN,
        nillable=nillable,
        createable=createable,
        updateable=bool(entry["updateable"]),
        unique=bool(entry.get("unique")),
        external_id=bool(entry.get("externalId")),
        custom=bool(entry.get("custom")),
        options=tuple(option["value"] for option in entry.get("picklistValues") or () if option.get("active", True)),
        restricted=bool(entry.get("restrictedPicklist")),
        controlled_by=entry.get("controllerName") or "",
        reference_to=tuple(entry.get("referenceTo") or ()),
    )


_NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.CURRENCY, FieldType.PERCENT)
_FRACTIONS: Final = {FieldType.DATETIME: 0, FieldType.TIME: 3}
"""Digits after the second that are kept ("Field Types", Object Reference; a date-time comes back with 000)."""
