"""Whole records through a compiled mapping, for previews and for the verbs of a provider."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Final, NamedTuple

from crmsync.mapping.codecs import FieldConverter, Pipe
from crmsync.mapping.generated import Rest, record_function, values_function
from crmsync.mapping.losses import Flawed
from crmsync.mapping.shortcuts import Case
from crmsync.models.mappings import Enforcement
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Fields, Side
from crmsync.protocols.conversion import (
    REMEDIES,
    Conversion,
    Converter,
    FieldRule,
    Loss,
    LossKind,
    RecordRule,
    WholeConverter,
)

_LEFT_OUT: Final = object()


class RecordConversion(NamedTuple):
    """A converted record.

    ``values`` are in the target's form; fields that are MISSING or rejected are left out, and all of them where a loss
    rejects the whole record. ``problems`` has one entry for each rejected field, without its value.
    """

    values: dict[str, object]
    losses: tuple[Loss, ...]
    problems: tuple[Problem, ...]


class RecordConverter:
    """Converts records one way; made once and called for each record.

    ``side`` is the side whose form comes out. Fields that the mapping does not write there are left out, unless
    ``every_field`` asks for them too (to read a contact through a mapping that only flows the other way, say).
    ``convert`` is the same as calling the converter, as a plain function: a little faster in a loop.
    """

    __slots__ = ("_checks", "_converted", "_source", "_steps", "_target", "convert")

    def __init__(self, rule: RecordRule, side: Side, *, every_field: bool = False) -> None:
        self._source = rule.computed.get(side.other)
        self._target = rule.computed.get(side)
        self._steps: list[tuple[str, str, Converter, Pipe]] = []
        for each in rule.rules:
            remote = side is Side.REMOTE
            enforcement = each.to_crm if remote else each.from_crm
            if enforcement is Enforcement.OFF and not every_field:
                continue
            source, target = (each.local, each.remote) if remote else (each.remote, each.local)
            converter = each.to_remote if remote else each.to_local
            self._steps.append((source, target, converter, _pipe_of(converter)))
        self._converted: Callable[[Fields], RecordConversion] = self._generated() if self._steps else self.step_by_step
        self._checks = rule.validation if side is Side.LOCAL else None
        more = self._source is not None or self._target is not None or self._checks is not None
        self.convert: Callable[[Fields], RecordConversion] = self._with_computed if more else self._converted

    def __call__(self, fields: Fields, held: Fields | None = None) -> RecordConversion:
        """Convert one record. Total: no exception for any value.

        What is computed on the target's side comes out as the fields that it is made of; ``held`` is what the target
        holds already, None if it is to be created.
        """
        return self.convert(fields) if held is None else self._with_computed(fields, held)

    def _with_computed(self, fields: Fields, held: Fields | None = None) -> RecordConversion:
        """The conversion with computed fields worked out before it, and taken apart and checked after it."""
        failures: dict[str, str] = {}
        if self._source is not None:
            fields, failures = self._source.worked_out(fields)
        values, losses, problems = self._converted(fields)
        # By what they would be converted to.
        refused = {target: failures[source] for source, target, _, _ in self._steps if source in failures}
        if self._target is not None:
            expansion = self._target.expand(values, held)
            values = dict(expansion.fields)
            refused |= expansion.refused
        if refused:
            found = [(name, _refused(name, message)) for name, message in refused.items()]
            reported = _reported(values, found)
            losses, problems = (*losses, *reported.losses), (*problems, *reported.problems)
        if self._checks is not None:
            values, invalid = self._valid(values, held)
            problems = (*problems, *invalid)
        return RecordConversion(values, losses, problems)

    def _valid(self, values: dict[str, object], held: Fields | None) -> tuple[dict[str, object], tuple[Problem, ...]]:
        """What of a record the local side's own rules let pass, and what they refuse."""
        problems: list[Problem] = []
        while self._checks is not None:
            after: Fields = {**(held or {}), **values}
            after = self._target.attach(after) if self._target is not None else after
            found = self._checks.failures(after, values if held is not None else None)
            fresh = [each for each in found if each.problem not in problems]
            problems += [each.problem for each in fresh]
            refused = {name for each in fresh for name in each.fields}
            if not fresh:
                break
            values = {} if any(each.rejects_record for each in fresh) else _without(values, refused)
        return values, tuple(problems)

    def step_by_step(self, fields: Fields) -> RecordConversion:
        """The same, field by field: for records that lack fields, and for what the generated code leaves alone."""
        values: dict[str, object] = {}
        flawed: list[tuple[str, Conversion]] = []
        get = fields.get
        for source, target, converter, pipe in self._steps:
            value = get(source, MISSING)
            if value is MISSING:
                continue
            if value is None:
                values[target] = None
                continue
            result = pipe(value)
            if type(result) is Flawed:
                conversion = converter(value)
                flawed.append((target, conversion))
                if not conversion.rejected:
                    values[target] = conversion.value
            else:
                values[target] = result
        return _reported(values, flawed) if flawed else RecordConversion(values, (), ())

    def _generated(self) -> Callable[[Fields], RecordConversion]:
        targets = [target for _, target, _, _ in self._steps]

        def report(values: Sequence[object], odd: list[tuple[str, Conversion] | None]) -> RecordConversion:
            kept = {target: value for target, value in zip(targets, values, strict=True) if value is not _LEFT_OUT}
            return _reported(kept, [one for one in odd if one is not None])

        return record_function(
            [source for source, _, _, _ in self._steps],
            targets,
            [(_cases_of(converter), _rest_of(target, converter, pipe)) for _, target, converter, pipe in self._steps],
            stepwise=self.step_by_step,
            report=report,
            kind=RecordConversion,
        )


def whole_converter(rules: Sequence[FieldRule], side: Side) -> WholeConverter:
    """A `WholeConverter` of these rules to the form of a side."""
    ends = [(each.local, each.to_remote) if side is Side.REMOTE else (each.remote, each.to_local) for each in rules]
    fields = [(_cases_of(converter), _rest_of("", converter, _pipe_of(converter))) for _, converter in ends]
    made: WholeConverter = values_function([source for source, _ in ends], fields)
    return made


def to_remote(rule: RecordRule, fields: Fields) -> RecordConversion:
    """A local record in the CRM's form. For many records make one `RecordConverter`."""
    return RecordConverter(rule, Side.REMOTE)(fields)


def to_local(rule: RecordRule, fields: Fields) -> RecordConversion:
    """A CRM record in the local form. For many records make one `RecordConverter`."""
    return RecordConverter(rule, Side.LOCAL)(fields)


def problem_of(path: str, conversion: Conversion) -> Problem:
    """Why a conversion was rejected, for a report: the first loss that it cannot be written with."""
    telling = [loss for loss in conversion.losses if loss.kind is not LossKind.PRECISION] or conversion.losses
    loss = telling[0]
    return Problem(path, str(loss.kind), loss.message, REMEDIES[loss.kind])


def _without(values: dict[str, object], names: Container[str]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name not in names}


def _refused(name: str, message: str) -> Conversion:
    return Conversion(None, (Loss(LossKind.INVALID, name, message),), rejected=True)


def _cases_of(converter: Converter) -> tuple[Case, ...]:
    return converter.cases if isinstance(converter, FieldConverter) else ()


def _rest_of(target: str, converter: Converter, pipe: Pipe) -> Rest:
    """Converts what no shortcut covers, noting what is left out or flawed."""
    slow = converter.slow if isinstance(converter, FieldConverter) else pipe

    def rest(value: object, odd: list[tuple[str, Conversion] | None]) -> object:
        if value is MISSING:
            odd.append(None)
            return _LEFT_OUT
        result = slow(value)
        if type(result) is not Flawed:
            return result
        conversion = converter(value)
        odd.append((target, conversion))
        return _LEFT_OUT if conversion.rejected else conversion.value

    return rest


def _pipe_of(converter: Converter) -> Pipe:
    if isinstance(converter, FieldConverter):
        return converter.pipe

    def pipe(value: object) -> object:
        conversion = converter(value)
        return Flawed(conversion.value) if conversion.losses or conversion.rejected else conversion.value

    return pipe


def _reported(values: dict[str, object], flawed: list[tuple[str, Conversion]]) -> RecordConversion:
    losses = tuple(loss for _, conversion in flawed for loss in conversion.losses)
    problems = tuple(problem_of(target, conversion) for target, conversion in flawed if conversion.rejected)
    if any(conversion.whole_record for _, conversion in flawed):
        values = {}
    return RecordConversion(values, losses, problems)
