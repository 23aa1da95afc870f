"""The local side's own rules, compiled: what a record must be like before it is written there.

A rule judges the record as it would be. What is not shown cannot be judged and passes, and so does a blank, which is
for ``required`` to refuse.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container, Iterator, Mapping
from decimal import Decimal
from typing import Final

import attrs

from crmsync.mapping.expressions import Failed, FaultyError, Scope, ValueType, compile_node, read
from crmsync.mapping.expressions.patterns import Pattern, pattern
from crmsync.mapping.expressions.values import Run, as_text, is_blank, reader_of, value_type_of
from crmsync.mapping.findings import Findings, MappingCode, closest
from crmsync.mapping.virtual import inputs_of
from crmsync.models.mappings import ObjectMapping, OnInvalid, ValidationRule
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Fields
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema
from crmsync.protocols.conversion import RuleFailure

_REMEDY: Final = "correct the value in the CRM, or the rule"
_RANGES: Final[Mapping[ValueType, type]] = {
    ValueType.NUMBER: Decimal,
    ValueType.DATE: dt.date,
    ValueType.DATETIME: dt.datetime,
}

Judge = Callable[[object], str]
"""What is wrong with a value that is there; an empty text if nothing is."""


@attrs.frozen(slots=True)
class _Test:
    """One demand of one rule: what it looks at, the code of its failure, and what is wrong in words."""

    names: frozenset[str]
    fields: tuple[str, ...]
    code: str
    fault: Callable[[Fields], str]
    rejects_record: bool


@attrs.frozen(slots=True)
class LocalRules:
    """All rules of a mapping."""

    tests: tuple[_Test, ...]
    reads: tuple[str, ...]
    """The side's own fields that they look at."""

    def failures(self, fields: Fields, touched: Container[str] | None) -> Iterator[RuleFailure]:
        """See `ValidationChecks`."""
        for test in self.tests:
            if touched is not None and not any(name in touched for name in test.names):
                continue
            fault = test.fault(fields)
            if fault:
                problem = Problem(test.fields[0], test.code, fault, _REMEDY)
                yield RuleFailure(test.fields, problem, test.rejects_record)


def add_validation(mapping: ObjectMapping, local: ObjectSchema, findings: Findings) -> LocalRules | None:
    """Check and compile a mapping's validation rules; every fault goes to ``findings``.

    :raises MissingExtraError: a rule has a pattern or a condition, and the language's packages are not installed.
    """
    tests: list[_Test] = []
    for place, rule in enumerate(mapping.validation):
        tests += _Compiling(f"validation[{place}]", rule, local, findings).tests()
    if not mapping.validation:
        return None
    listed = {each.name: each for each in local.fields}
    names = {name for test in tests for name in test.names}
    fields = (listed.get(name) or FieldSchema(name=name) for name in names)
    return LocalRules(
        tuple(tests), tuple(sorted({name for each in fields if each.readable for name in inputs_of(each)}))
    )


@attrs.frozen(slots=True)
class _Compiling:
    path: str
    rule: ValidationRule
    local: ObjectSchema
    findings: Findings

    def tests(self) -> Iterator[_Test]:
        rule = self.rule
        if rule.field:
            yield from self._of_field(rule.field)
        if rule.condition:
            yield from self._condition()
        if not (rule.condition or any(self._demands())):
            remedy = "say required, pattern, minimum, maximum, allowed, min_length, max_length or condition"
            self._fault("field", MappingCode.RULE_UNFIT, "the rule demands nothing", remedy)
        elif not rule.field and any(self._demands()):
            remedy = "name the field, or write a condition"
            self._fault("field", MappingCode.RULE_UNFIT, "the rule does not say of which field it is", remedy)

    def _demands(self) -> Iterator[object]:
        rule = self.rule
        yield from (rule.required, rule.pattern, rule.allowed)
        yield from (each is not None for each in (rule.minimum, rule.maximum, rule.min_length, rule.max_length))

    def _fault(self, part: str, code: str, message: str, remedy: str) -> None:
        self.findings.faults.append(Problem(f"{self.path}.{part}", code, message, remedy))

    def _of_field(self, name: str) -> Iterator[_Test]:
        rule, field = self.rule, self.local.field(name)
        if field is None and not self.local.open:
            remedy = closest(name, (each.name for each in self.local.fields))
            self._fault("field", MappingCode.UNKNOWN_FIELD, f"{self.local.name} has no field {name!r}", remedy)
            return
        kind = field.type if field is not None else self._kind_of_range()
        read_field = reader_of(name, kind, field.separator or ";" if field is not None else ";")
        if rule.required:
            yield self._test("required", lambda fields: _blank(name, read_field, fields))
        judges = {
            "pattern": self._matching(),
            "range": self._within(kind),
            "allowed": _among(frozenset(rule.allowed)) if rule.allowed else None,
            "length": _long_enough(rule.min_length, rule.max_length),
        }
        for what, judge in judges.items():
            if judge is not None:
                yield self._test(what, _judged(name, read_field, judge))

    def _test(self, what: str, fault: Callable[[Fields], str], names: frozenset[str] = frozenset()) -> _Test:
        rule = self.rule

        def told(fields: Fields) -> str:
            found = fault(fields)
            return (rule.message or found) if found else ""

        fields = (rule.field,) if rule.field else tuple(sorted(names))
        rejects = rule.on_failure is OnInvalid.REJECT_RECORD
        return _Test(names or frozenset(fields), fields, f"validation_{what}", told, rejects)

    def _kind_of_range(self) -> FieldType:
        """What a field is read as that its side does not list: what the rule compares it with."""
        match self.rule.maximum if self.rule.minimum is None else self.rule.minimum:
            case Decimal():
                return FieldType.DECIMAL
            case dt.datetime():
                return FieldType.DATETIME
            case dt.date():
                return FieldType.DATE
            case _:
                return FieldType.TEXT

    def _matching(self) -> Judge | None:
        if not self.rule.pattern:
            return None
        try:
            found = pattern(self.rule.pattern)
        except ValueError as error:
            self._fault("pattern", MappingCode.RULE_UNFIT, str(error), "correct the pattern")
            return None
        return lambda value: _like(value, found)

    def _within(self, kind: FieldType) -> Judge | None:
        wanted = _RANGES.get(value_type_of(kind))
        least, most = (_as_instant(end, wanted) for end in (self.rule.minimum, self.rule.maximum))
        if least is None and most is None:
            return None
        for part, end in (("minimum", least), ("maximum", most)):
            if end is not None and (wanted is None or type(end) is not wanted or _without_zone(end)):
                message = f"the {part} does not fit {self.rule.field!r}, which is {kind}"
                remedy = "give a number for numbers, a date for dates, a date and time with a zone for instants"
                self._fault(part, MappingCode.RULE_UNFIT, message, remedy)
                return None
        return lambda value: _in_range(value, least, most)

    def _condition(self) -> Iterator[_Test]:
        source = self.rule.condition
        scope = Scope(
            fields={each.name: each.type for each in self.local.fields},
            separators={each.name: each.separator for each in self.local.fields if each.separator is not None},
            open=self.local.open,
            owner=self.local.name,
        )
        try:
            compiled = compile_node(read(source), scope)
        except FaultyError as error:
            for each in error.faults:
                self._fault("condition", each.code, each.placed(source), each.remedy)
            return
        if compiled.type is not ValueType.BOOLEAN:
            message = f"the condition gives a {compiled.type}, and must be true or false"
            self._fault("condition", MappingCode.RULE_UNFIT, message, "compare it with something")
            return
        if not compiled.names:
            self._fault("condition", MappingCode.RULE_UNFIT, "the condition is about no field", "name a field in it")
            return

        def fault(fields: Fields) -> str:
            value = compiled.run(fields.get)
            if isinstance(value, Failed):
                return f"the condition cannot be judged: {value.message}"
            return "the condition does not hold" if value is False else ""

        yield self._test("condition", fault, compiled.names)


def _blank(name: str, read_field: Run, fields: Fields) -> str:
    # A record that is created lacks what nobody gave it.
    value = read_field(lambda asked, _: fields.get(asked))
    return f"{name} must not be blank" if not isinstance(value, Failed) and is_blank(value) else ""


def _judged(name: str, read_field: Run, judge: Judge) -> Callable[[Fields], str]:
    def fault(fields: Fields) -> str:
        value = read_field(fields.get)
        if value is MISSING or is_blank(value):
            return ""
        found = value.message if isinstance(value, Failed) else judge(value)
        return f"{name}: {found}" if found else ""

    return fault


def _texts(value: object) -> list[str]:
    """A value as text; of a list each element."""
    values = value if isinstance(value, tuple) else (value,)
    return [text for each in values if isinstance(text := as_text(each), str)]


def _like(value: object, wanted: Pattern) -> str:
    try:
        return "" if all(wanted.search(text) for text in _texts(value)) else "the value does not have the form demanded"
    except UnicodeEncodeError:
        return "the text holds half a character (an unpaired surrogate)"


def _among(allowed: frozenset[str]) -> Judge:
    def judge(value: object) -> str:
        return "" if allowed.issuperset(_texts(value)) else f"the value is none of the {len(allowed)} allowed"

    return judge


def _long_enough(least: int | None, most: int | None) -> Judge | None:
    if least is None and most is None:
        return None

    def judge(value: object) -> str:
        length = len(value if isinstance(value, tuple) else "".join(_texts(value)))
        if least is not None and length < least:
            return f"the value has {length} of at least {least} characters"
        return f"the value has {length} of at most {most} characters" if most is not None and length > most else ""

    return judge


def _in_range(value: object, least: object, most: object) -> str:
    if least is not None and value < least:  # type: ignore[operator] # both are of the type that was checked
        return f"the value is below {least}"
    return f"the value is above {most}" if most is not None and value > most else ""  # type: ignore[operator] # as above


def _as_instant(end: object, wanted: type | None) -> object:
    """A date, where an instant is wanted, as its midnight."""
    if wanted is dt.datetime and type(end) is dt.date:
        return dt.datetime(end.year, end.month, end.day, tzinfo=dt.UTC)
    return end


def _without_zone(end: object) -> bool:
    return isinstance(end, dt.datetime) and end.utcoffset() is None
