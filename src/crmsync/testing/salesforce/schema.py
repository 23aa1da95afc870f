"""What the emulated org knows of its objects and fields: the source of describes, of value rules and of SOQL's types.

The definitions are TOML files beside this module, one an object, with ``[junctions]`` for the lists of ids that a write
may give to an e-mail. A field says only what its type does not imply:

    type, label, length, scale
    access                "cu" createable and updateable (the default), "c", "u", "r" read-only
    nillable              true unless said
    defaulted, default    defaultedOnCreate (true for id and boolean), and the value
    part_of               the compound field it is a part of
    references, relationship
    children, cascade     the parent's name for the records that refer to it; whether they are deleted with it
    values, restricted    name of one of the file's picklists; whether other values are refused
    id_lookup, filterable, permissionable, extra_type, search_prefilterable
"""

from __future__ import annotations

import tomllib
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DEFAULT_LENGTHS: Final = {"id": 18, "reference": 18, "email": 80, "phone": 40, "url": 255}
_SOAP_TYPES: Final = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "int": "xsd:int",
    "address": "urn:address",
    "location": "urn:location",
}
NUMBER_TYPES: Final = frozenset({"double", "currency", "percent", "int"})
TEXT_TYPES: Final = frozenset(
    {"string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "combobox", "encryptedstring"}
)
#: Computed from fields that are their parts.
COMPOUND_TYPES: Final = frozenset({"address", "location"})
ID_TYPES: Final = frozenset({"id", "reference"})
OBJECT_FILES: Final = (
    "Account",
    "Contact",
    "Lead",
    "Campaign",
    "CampaignMember",
    "CampaignMemberStatus",
    "Task",
    "EmailMessage",
    "EmailMessageRelation",
    "User",
    "Organization",
)
#: References to these come with every record and are of no use to look records up by.
_OWNERS: Final = frozenset({"User", "Group"})


@frozen(kw_only=True)
class PicklistValue:
    """One value of a picklist. ``valid_for`` are the bits of a describe's ``validFor``, in base 64."""

    value: str
    label: str
    valid_for: str | None = None


@frozen(kw_only=True, slots=False)
class FieldDef:
    """One field of an object. Lengths are in characters; ``unique`` ignores case unless ``case_sensitive``."""

    name: str
    type: str = "string"
    label: str = ""
    length: int = 0
    scale: int = 0
    createable: bool = True
    updateable: bool = True
    nillable: bool = True
    defaulted_on_create: bool = False
    default: str | bool | float | None = None
    part_of: str | None = None
    references: tuple[str, ...] = ()
    relationship: str | None = None
    children: str | None = None
    cascade: bool = False
    values: tuple[PicklistValue, ...] = ()
    restricted: bool = False
    controller: str | None = None
    id_lookup: bool = False
    external_id: bool = False
    unique: bool = False
    case_sensitive: bool = False
    custom: bool = False
    filterable: bool = True
    permissionable: bool = False
    extra_type: str | None = None
    search_prefilterable: bool = False
    masked: bool = False

    @property
    def is_long_text(self) -> bool:
        """Long text areas can be neither filtered, sorted nor grouped by."""
        return self.type == "textarea" and self.length > 255

    @property
    def is_polymorphic(self) -> bool:
        """Whether the field refers to records of more than one object."""
        return len(self.references) > 1

    @property
    def is_indexed(self) -> bool:
        """Whether records are looked up by the field: keys, and references to anything but their owners."""
        if self.type == "id":
            return False
        return self.id_lookup or self.external_id or self.unique or bool(set(self.references) - _OWNERS)

    @property
    def soap_type(self) -> str:
        """The type of the SOAP API, a key of describes."""
        return _SOAP_TYPES.get(self.type, "xsd:string")

    @property
    def is_filterable(self) -> bool:
        """Whether WHERE may name the field."""
        return self.filterable and not self.is_long_text and self.type != "encryptedstring"

    @property
    def is_sortable(self) -> bool:
        """Whether ORDER BY may name the field."""
        return self.is_filterable and self.type not in ("address", "location", "multipicklist")

    @cached_property
    def allowed_values(self) -> frozenset[str]:
        """The values of the picklist."""
        return frozenset(entry.value for entry in self.values)

    @property
    def is_required(self) -> bool:
        """Whether a create must give a value, and an update may not clear it."""
        writable = self.createable or self.updateable
        return not self.nillable and writable and not self.defaulted_on_create and self.type != "boolean"


@frozen(kw_only=True, slots=False)
class ObjectDef:
    """One object with its fields in describe order."""

    name: str
    label: str
    label_plural: str
    key_prefix: str
    fields: Mapping[str, FieldDef]
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    undeletable: bool = True
    mergeable: bool = False
    replicateable: bool = True
    #: Names of the lists of ids that a write may give, with the kind of relation that each makes.
    junctions: Mapping[str, str] = field(factory=dict)
    _by_lower_name: Mapping[str, FieldDef] = field(init=False, repr=False, eq=False)

    @_by_lower_name.default
    def _index(self) -> dict[str, FieldDef]:
        return {name.lower(): definition for name, definition in self.fields.items()}

    def find(self, name: str) -> FieldDef | None:
        """Return the field of this name in any letter case, as every Salesforce API takes it."""
        return self.fields.get(name) or self._by_lower_name.get(name.lower())

    # Every save asks these, so they are found once.

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The names of the fields that a create must give."""
        return tuple(name for name, entry in self.fields.items() if entry.is_required)

    @cached_property
    def unique(self) -> tuple[str, ...]:
        """The names of the fields whose value only one record may hold."""
        return tuple(name for name, entry in self.fields.items() if entry.unique)

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The names of the fields that hold another record's id."""
        return tuple(name for name, entry in self.fields.items() if entry.references)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The values of a new record before its request's are applied."""
        return {name: entry.default for name, entry in self.fields.items() if entry.default is not None}

    @cached_property
    def by_relationship(self) -> dict[str, FieldDef]:
        """Reference fields by the lower-case name of their parent relationship."""
        return {entry.relationship.lower(): entry for entry in self.fields.values() if entry.relationship}

    @cached_property
    def parts(self) -> dict[str, tuple[FieldDef, ...]]:
        """The writable parts of each address and each place."""
        compounds = [entry.name for entry in self.fields.values() if entry.type in COMPOUND_TYPES]
        return {name: tuple(entry for entry in self.fields.values() if entry.part_of == name) for name in compounds}

    def with_fields(self, extra: Iterable[FieldDef]) -> ObjectDef:
        """Return the object with further fields, each replacing one of the same name."""
        return evolve(self, fields={**self.fields, **{entry.name: entry for entry in extra}})

    def without_fields(self, names: Iterable[str]) -> ObjectDef:
        """Return the object without some of its fields."""
        gone = set(names)
        return evolve(self, fields={name: entry for name, entry in self.fields.items() if name not in gone})


def load_objects() -> dict[str, ObjectDef]:
    """Read the shipped definitions: a fresh org's objects, without any custom field."""
    return {name: _load(name) for name in OBJECT_FILES}


@cache
def _load(name: str) -> ObjectDef:
    text = resources.files(__package__).joinpath("objects", f"{name.lower()}.toml").read_text(encoding="utf-8")
    raw = tomllib.loads(text)
    picklists = {key: tuple(_picklist_value(entry) for entry in entries) for key, entries in raw["picklists"].items()}
    return ObjectDef(
        name=raw["name"],
        label=raw["label"],
        label_plural=raw["label_plural"],
        key_prefix=raw["key_prefix"],
        fields={key: _field(key, row, picklists) for key, row in raw["fields"].items()},
        createable=raw.get("createable", True),
        deletable=raw.get("deletable", True),
        undeletable=raw.get("undeletable", True),
        mergeable=raw.get("mergeable", False),
        junctions=raw.get("junctions", {}),
    )


def _picklist_value(entry: str | list[str]) -> PicklistValue:
    if isinstance(entry, str):
        return PicklistValue(value=entry, label=entry)
    return PicklistValue(value=entry[0], label=entry[1])


def _field(name: str, row: dict[str, Any], picklists: Mapping[str, tuple[PicklistValue, ...]]) -> FieldDef:
    kind = row["type"]
    access = row.get("access", "cu")
    nillable = row.get("nillable", True)
    open_to_profiles = access != "r" and nillable and kind not in ("id", "boolean", "datetime")
    return FieldDef(
        name=name,
        type=kind,
        label=row["label"],
        length=row.get("length", _DEFAULT_LENGTHS.get(kind, 0)),
        scale=row.get("scale", 0),
        createable="c" in access,
        updateable="u" in access,
        nillable=nillable,
        defaulted_on_create=row.get("defaulted", kind in ("id", "boolean")),
        default=row.get("default", False if kind == "boolean" else None),
        part_of=row.get("part_of"),
        references=tuple(row.get("references", ())),
        relationship=row.get("relationship"),
        children=row.get("children"),
        cascade=row.get("cascade", False),
        values=picklists[row["values"]] if "values" in row else (),
        restricted=row.get("restricted", False),
        id_lookup=row.get("id_lookup", kind == "id"),
        filterable=row.get("filterable", True),
        permissionable=row.get("permissionable", open_to_profiles),
        extra_type=row.get("extra_type", "plaintextarea" if kind == "textarea" else None),
        search_prefilterable=row.get("search_prefilterable", False),
    )


def custom_field(name: str, label: str, kind: str = "string", **attributes: Any) -> FieldDef:
    """Return a custom field (its name ends in ``__c``) with the describe keys that every custom field has.

    ``attributes`` are those of :class:`FieldDef`; the length defaults to 255 for a string.
    """
    defaults: dict[str, Any] = {"custom": True, "permissionable": True, "length": _DEFAULT_LENGTHS.get(kind, 0)}
    if kind == "string":
        defaults["length"] = 255
    elif kind == "multipicklist":
        defaults["length"] = 4099
    elif kind == "boolean":
        defaults |= {"nillable": False, "defaulted_on_create": True, "default": False}
    return FieldDef(name=name, label=label, type=kind, **(defaults | attributes))


def location_fields(name: str, label: str, *, scale: int = 15) -> tuple[FieldDef, FieldDef, FieldDef]:
    """Return a custom geolocation field (its name ends in ``__c``) and the two fields that are its parts."""
    bare = name.removesuffix("__c")
    parts = [
        custom_field(f"{bare}__{part}__s", f"{label} ({part})", "double", scale=scale, part_of=name)
        for part in ("Latitude", "Longitude")
    ]
    return custom_field(name, label, "location", createable=False, updateable=False), parts[0], parts[1]


MAILING_OBJECTS: Final = ("Contact", "Lead")
EXTERNAL_ID_FIELD: Final = custom_field(
    "MarkMail_Id__c", "MarkMail Id", length=64, external_id=True, unique=True, case_sensitive=True, id_lookup=True
)
MAILING_FIELDS: Final = (
    custom_field("MarkMail_Tags__c", "MarkMail Tags", "multipicklist"),
    custom_field("MarkMail_Company__c", "MarkMail Company"),
)
OPT_OUT_FIELD: Final = FieldDef(
    name="HasOptedOutOfEmail",
    label="Email Opt Out",
    type="boolean",
    nillable=False,
    defaulted_on_create=True,
    default=False,
    permissionable=True,
)


def org_objects(
    custom_fields: Mapping[str, Iterable[FieldDef]],
    *,
    external_id_field: bool,
    hide_opt_out: bool,
) -> dict[str, ObjectDef]:
    """Return the objects of an org that a mailing application was set up in, with further custom fields by object.

    :raises KeyError: a custom field is for an object that the emulator has not.
    """
    objects = load_objects()
    for name in MAILING_OBJECTS:
        extra = [] if hide_opt_out else [OPT_OUT_FIELD]
        if external_id_field:
            extra.append(EXTERNAL_ID_FIELD)
        objects[name] = objects[name].with_fields([*extra, *MAILING_FIELDS])
    if hide_opt_out:
        objects["CampaignMember"] = objects["CampaignMember"].without_fields([OPT_OUT_FIELD.name])
    for name, fields in custom_fields.items():
        objects[name] = objects[name].with_fields(fields)
    return objects
