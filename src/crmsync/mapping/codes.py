"""What each code of a check means, how grave it is, and what to do; the reference's page is made of this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from crmsync.mapping.findings import MappingCode
from crmsync.models.checks import Severity

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
_EITHER: Final = (_ERROR, _WARNING)


class Meaning(NamedTuple):
    """A code, explained."""

    severities: tuple[Severity, ...]
    meaning: str
    remedy: str


MEANINGS: Final[Mapping[MappingCode, Meaning]] = {
    MappingCode.UNKNOWN_FIELD: Meaning(
        (_ERROR,), "a side has no such field", "correct the name; the nearest ones are named"
    ),
    MappingCode.DUPLICATE_TARGET: Meaning(
        (_ERROR,), "two field mappings write the same field", "remove one, or sync one of them the other way only"
    ),
    MappingCode.NOT_WRITABLE: Meaning(
        (_ERROR,), "the field cannot be written", "sync it one way, or give the connected user permission to edit it"
    ),
    MappingCode.NOT_CREATEABLE: Meaning(
        (_WARNING,), "the field can be written, but not when a record is created", "ask for that permission"
    ),
    MappingCode.CREATE_ONLY: Meaning(
        (_WARNING,), "the field can only be written when a record is created", "say so: `create_only`"
    ),
    MappingCode.UNREADABLE: Meaning(
        _EITHER, "the field is hidden, or cannot be read", "give the connected user permission to read it, or unmap it"
    ),
    MappingCode.POLICY_UNFIT: Meaning(
        (_ERROR,), "the conflict policy means nothing for such values", "choose another policy"
    ),
    MappingCode.INCOMPATIBLE_TYPES: Meaning(
        (_ERROR,), "values of one field's type can never stand in the other", "map other fields"
    ),
    MappingCode.VALUE_MAP_NOT_ONE_TO_ONE: Meaning(
        (_ERROR,),
        "two values have the same new name, and the field is synced both ways: nobody can say which one comes back",
        "give each a name of its own, or sync the field one way",
    ),
    MappingCode.UNKNOWN_OPTION: Meaning(
        (_ERROR,), "the value map names an option that the picklist does not have", "correct it, or add the option"
    ),
    MappingCode.ENFORCEMENT_CONTRADICTS_DIRECTION: Meaning(
        (_ERROR,), "an enforcement is given for a direction that is switched off", "leave one of the two out"
    ),
    MappingCode.ARCHIVE_FIELD_MISSING: Meaning(
        (_ERROR,), "deletes are to archive, and no field is named for it", "name a true-or-false field"
    ),
    MappingCode.REQUIRED_NOT_COVERED: Meaning(
        _EITHER, "a record cannot be created without this field, and nothing writes it", "map it, or create no records"
    ),
    MappingCode.MATCH_INCOMPLETE: Meaning(
        (_ERROR,), "only one side's e-mail field is named", "name both, or leave both empty"
    ),
    MappingCode.CUSTOM_MISSING: Meaning(
        (_ERROR,), "the policy is custom, and no function is given", "pass the function, or choose another policy"
    ),
    MappingCode.CUSTOM_UNUSED: Meaning(
        (_WARNING,), "a function is given, and no field's policy is custom", 'set `policy = "custom"`'
    ),
    MappingCode.DEFAULT_UNUSABLE: Meaning(
        (_ERROR,), "the default cannot be written to the CRM's field", "give one that it can hold"
    ),
    MappingCode.NO_SEPARATOR: Meaning(
        (_ERROR,), "a set stands in one text, and nothing says what separates its elements", "give a separator"
    ),
    MappingCode.NAMESPACE_UNUSED: Meaning(
        (_WARNING,),
        "a namespace is given for what is no set, or for a set that its policy writes as a whole",
        "leave it out, or leave the policy out",
    ),
    MappingCode.NOTHING_MAPPED: Meaning((_WARNING,), "no value flows in any direction", "map at least one field"),
    MappingCode.UNKNOWN_REGION: Meaning((_ERROR,), "there is no such region", "name a country by its two letters"),
    MappingCode.UNKNOWN_ZONE: Meaning(
        (_ERROR,), "there is no such time zone", "name one of the IANA database, such as `Europe/Berlin`"
    ),
    MappingCode.UNIT_UNFIT: Meaning(
        (_ERROR,), "the unit is none of such values", "declare a percentage or a duration, or leave the unit out"
    ),
    MappingCode.MAY_BE_MASKED: Meaning(
        (_INFO,),
        "the CRM encrypts the field: if it masks it for the connected user, it is left alone on both sides",
        "see that the user may view encrypted data",
    ),
    MappingCode.SETTING_UNUSED: Meaning((_WARNING,), "a setting says nothing about such values", "leave it out"),
    MappingCode.DIRECTIVE_UNFIT: Meaning(
        (_ERROR,),
        "`on_blank` asks for a default that is not given or for a set that is merged, or `normalise` for a field whose"
        " values are no texts",
        "leave it out, or give the default",
    ),
    MappingCode.UNKNOWN_NORMALISER: Meaning(
        (_ERROR,), "`normalise` names what is no normaliser", "take one of those named, or give the function"
    ),
    MappingCode.SHORTER: Meaning(
        (_WARNING,),
        "the field written holds fewer characters",
        "give it more room; until then long values are rejected",
    ),
    MappingCode.LESS_PRECISE: Meaning(
        (_WARNING,), "the field written holds fewer digits", "give it more room; until then such values are rejected"
    ),
    MappingCode.LOSSY_TYPES: Meaning(
        (_WARNING, _INFO), "not every value of the one type can stand in the other", "see what `on_loss` says"
    ),
    MappingCode.NOT_INVERTIBLE: Meaning(
        (_WARNING,),
        "losses are accepted, and the field is synced both ways: a value does not come back as it was",
        "reject losses, or sync the field one way",
    ),
    MappingCode.OPTIONS_DIFFER: Meaning(
        (_WARNING,), "the picklist written lacks options of the other side", "add them, or name them in the value map"
    ),
    MappingCode.NOT_UNIQUE: Meaning(
        (_INFO,), "values must differ between records on the side written, and need not on the other", "be aware of it"
    ),
    MappingCode.BLANK_REFUSED: Meaning(
        (_WARNING,), "the field written must not be blank, and the source may be", "set `required`, or give a default"
    ),
    MappingCode.FIELD_GONE: Meaning(
        (_WARNING,),
        "the CRM's field was there at the last run, and is deleted or hidden now; it is not synced meanwhile",
        "give the permission back, or unmap it",
    ),
    MappingCode.FIELD_RENAMED: Meaning((_WARNING,), "the same, and a new field looks like it", "map the new field"),
    MappingCode.TYPE_CHANGED: Meaning(
        (_WARNING,), "the CRM's field has another type than at the last run", "look whether the mapping still fits"
    ),
    MappingCode.LENGTH_SHRUNK: Meaning(
        (_WARNING,), "the CRM's field holds fewer characters than at the last run", "longer values are rejected"
    ),
    MappingCode.SCALE_SHRUNK: Meaning(
        (_WARNING,), "the CRM's field holds fewer digits than at the last run", "finer values are rejected"
    ),
    MappingCode.OPTIONS_REMOVED: Meaning(
        (_WARNING,), "options of the CRM's picklist were removed, or it became restricted", "such values are rejected"
    ),
    MappingCode.PERMISSION_LOST: Meaning(
        (_WARNING,), "the connected user may do less with the CRM's field than at the last run", "give it back"
    ),
    MappingCode.COMPUTED_NAME: Meaning(
        (_ERROR,), "a computed field has the name of another field of its side", "choose another name"
    ),
    MappingCode.COMPUTED_CYCLE: Meaning(
        (_ERROR,), "a computed field is made of itself", "take it out of its expression"
    ),
    MappingCode.COMPUTED_TYPE: Meaning(
        (_ERROR,), "an expression gives another type than the field holds", "wrap it in `text(...)`, `number(...)`, ..."
    ),
    MappingCode.COMPUTED_KEY: Meaning(
        (_ERROR,), "records are to be found by a computed field", "name a field that the side itself has"
    ),
    MappingCode.COMPUTED_INPUT: Meaning(
        (_WARNING,),
        "an expression uses a field that its side does not list, though it may take it",
        "correct the name; without that field the computed one has no value",
    ),
    MappingCode.COMPUTED_UNUSED: Meaning((_WARNING,), "no field mapping uses the computed field", "map or remove it"),
    MappingCode.NO_INVERSE: Meaning(
        (_ERROR,),
        "a computed field is to be written, and nothing says how its value is taken apart",
        "give it an inverse, or sync it one way",
    ),
    MappingCode.INVERSE_WRONG: Meaning(
        _EITHER,
        "a given inverse does not give back all sample values that the expression makes, or none (an error)",
        "correct the inverse; at each write it is proven anew, and a value that does not come back is not written",
    ),
    MappingCode.RULE_UNFIT: Meaning(
        (_ERROR,), "a validation rule demands nothing, or what its field cannot be asked for", "correct the rule"
    ),
    MappingCode.RULE_UNUSED: Meaning(
        (_WARNING,), "nothing is written to the fields of a validation rule", "map them from the CRM, or remove it"
    ),
    MappingCode.NOW_REQUIRED: Meaning(
        (_WARNING,), "the CRM needs one more field to create a record", "map it; until then creates are rejected"
    ),
    MappingCode.NOW_UNIQUE: Meaning(
        (_WARNING,), "values of the CRM's field must differ between records now", "repeated values are rejected"
    ),
}


def reference_rows() -> Iterator[str]:
    """The rows of the reference's table, in Markdown."""
    for code, (severities, meaning, remedy) in MEANINGS.items():
        yield f"| `{code.value}` | {', '.join(severities)} | {meaning} | {remedy} |"
