"""What an org's admin has set up for every save: rewriting triggers, validation rules, duplicate rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import define, field, frozen

from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.rendering import attributes

if TYPE_CHECKING:
    from crmsync.testing.salesforce.store import Row, Table

#: Rewrites the stored form of one field's value, never ``None``, on every save that gives one.
Trigger: TypeAlias = Callable[[Any], Any]

_NAMED: Final[Mapping[str, Trigger]] = {
    "trim": lambda value: value.strip(),
    "upper": lambda value: value.upper(),
    "lower": lambda value: value.lower(),
    "title": lambda value: value.title(),
}


def named_trigger(name: str, *, length: int | None = None) -> Trigger:
    """Return one of the common lossy triggers: trim, upper, lower, title, or truncate to ``length``.

    :raises ValueError: there is no such trigger, or truncate has no length.
    """
    if name == "truncate" and length is not None:
        return lambda value: value[:length]
    if name not in _NAMED or length is not None:
        raise ValueError(f"no trigger {name!r}; there are {', '.join(_NAMED)}, and truncate with a length")
    return _NAMED[name]


@frozen(kw_only=True)
class ValidationRule:
    """An admin's rule: records of the object for which ``fails`` is true are refused with the admin's ``message``.

    ``field`` is the one that the message stands beside; without it, it stands at the top of the page.
    """

    object_name: str
    fails: Callable[[Mapping[str, Any]], bool]
    message: str
    field: str | None = None

    def check(self, object_name: str, row: Mapping[str, Any]) -> None:
        """Refuse a record that fails.

        :raises RowError: FIELD_CUSTOM_VALIDATION_EXCEPTION.
        """
        if object_name == self.object_name and self.fails(row):
            fields = () if self.field is None else (self.field,)
            raise RowError("FIELD_CUSTOM_VALIDATION_EXCEPTION", self.message, fields)


def required_when(
    object_name: str, name: str, *, when: str | None = None, equals: Any = None, message: str | None = None
) -> ValidationRule:
    """Return the rule that a field has a value, always or when another field has a certain one."""

    def fails(row: Mapping[str, Any]) -> bool:
        return row.get(name) is None and (when is None or row.get(when) == equals)

    return ValidationRule(object_name=object_name, fails=fails, message=message or f"{name} is needed.", field=name)


def matches(object_name: str, name: str, pattern: str, *, message: str | None = None) -> ValidationRule:
    """Return the rule that a field's value, where it has one, matches a regular expression as a whole."""
    compiled = re.compile(pattern)

    def fails(row: Mapping[str, Any]) -> bool:
        value = row.get(name)
        return value is not None and compiled.fullmatch(str(value)) is None

    text = message or f"{name} has not the right form."
    return ValidationRule(object_name=object_name, fails=fails, message=text, field=name)


@frozen(kw_only=True)
class DuplicateRule:
    """A duplicate rule with its matching rule: two records match if all of ``fields`` are alike but for case.

    :param allow: whether the rule only warns: a call with ``Sforce-Duplicate-Rule-Header: allowSave=true`` saves all
        the same. A rule that blocks does so whatever the header.
    """

    object_name: str
    fields: Sequence[str] = ("Email",)
    allow: bool = True
    name: str = ""
    on_update: bool = True
    message: str = "Use one of these records?"

    def matching(self, table: Table, row: Row) -> list[Row]:
        """Return the other live records that match a record. A blank matches nothing."""
        values = [(name, row.get(name)) for name in self.fields]
        if any(value is None for _, value in values):
            return []
        first, value = values[0]
        candidates = table.live_matching(first, str(value)) if table.is_indexed(first) else table.all_newest()
        return [
            other
            for other in candidates
            if other["Id"] != row["Id"]
            and not other["IsDeleted"]
            and all(_alike(other.get(name), wanted) for name, wanted in values)
        ]


def _alike(one: Any, other: Any) -> bool:
    return one == other or (isinstance(one, str) and isinstance(other, str) and one.casefold() == other.casefold())


@frozen(kw_only=True)
class SaveOptions:
    """What a call's ``Sforce-Duplicate-Rule-Header`` asks for, and the API version that it came by."""

    allow_duplicates: bool = False
    include_record_details: bool = False
    version: str = "68.0"


class DuplicatesError(RowError):
    """DUPLICATES_DETECTED: ``result`` tells by which rule, and which records."""

    def __init__(self, message: str, result: Mapping[str, Any]) -> None:
        super().__init__("DUPLICATES_DETECTED", message)
        self.result = result

    def as_row(self) -> dict[str, Any]:
        """The form inside a collection's result."""
        return {"duplicateResult": self.result, **super().as_row()}

    def as_body(self) -> list[dict[str, Any]]:
        """The form of a whole answer, which has no ``fields``."""
        return [{"duplicateResult": self.result, "errorCode": self.code, "message": self.message}]


@define
class Rules:
    """An org's rules. ``triggers`` are by object and field."""

    validation: list[ValidationRule] = field(factory=list)
    duplicates: list[DuplicateRule] = field(factory=list)
    triggers: dict[str, dict[str, Trigger]] = field(factory=dict)

    def clear(self) -> None:
        """Forget all of them."""
        self.validation.clear()
        self.duplicates.clear()
        self.triggers.clear()

    def rewrite(self, object_name: str, field_name: str, trigger: Trigger | str, *, length: int | None = None) -> None:
        """Rewrite a field's value on every save, before its length is checked.

        :param trigger: a function of the stored form, or the name of a common one: see :func:`named_trigger`.
        :raises ValueError: there is no trigger of this name.
        """
        chosen = named_trigger(trigger, length=length) if isinstance(trigger, str) else trigger
        self.triggers.setdefault(object_name, {})[field_name] = chosen

    def check(self, table: Table, row: Row, options: SaveOptions, *, creating: bool) -> None:
        """Refuse a record; validation rules come first.

        The order is that of "Apex Developer Guide", page "Triggers and Order of Execution".

        :raises RowError: FIELD_CUSTOM_VALIDATION_EXCEPTION, or :class:`DuplicatesError`.
        """
        for rule in self.validation:
            rule.check(table.name, row)
        for duplicate_rule in self.duplicates:
            is_concerned = duplicate_rule.object_name == table.name and (creating or duplicate_rule.on_update)
            if not is_concerned or (duplicate_rule.allow and options.allow_duplicates):
                continue
            found = duplicate_rule.matching(table, row)
            if found:
                raise DuplicatesError(duplicate_rule.message, _result(duplicate_rule, table, found, options))


def _result(rule: DuplicateRule, table: Table, found: Sequence[Row], options: SaveOptions) -> dict[str, Any]:
    """Return the ``duplicateResult`` ("REST API Developer Guide", page "Duplicate Rule Header")."""
    name = rule.name or f"Standard_{table.name}_Duplicate_Rule"
    return {
        "allowSave": rule.allow,
        "duplicateRule": name,
        "duplicateRuleEntityType": table.name,
        "errorMessage": rule.message,
        "matchResults": [
            {
                "entityType": table.name,
                "errors": [],
                "matchEngine": "ExactMatchEngine",
                "matchRecords": [_match(rule, table, row, options) for row in found],
                "rule": f"{name}_Matching",
                "size": len(found),
                "success": True,
            }
        ],
    }


def _match(rule: DuplicateRule, table: Table, row: Row, options: SaveOptions) -> dict[str, Any]:
    details = {name: row.get(name) for name in rule.fields} if options.include_record_details else {}
    record = {"attributes": attributes(table.definition, row["Id"], options.version), "Id": row["Id"], **details}
    return {"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0, "record": record}
