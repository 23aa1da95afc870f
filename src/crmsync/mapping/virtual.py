"""From declared computed fields to columns that work, and to schemas in which they look like any other field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import attrs

from crmsync.mapping.codecs import FieldConverter, Route, converter_of
from crmsync.mapping.computed import ComputedColumn, ComputedSide
from crmsync.mapping.expressions import (
    Compiled,
    Failed,
    FaultyError,
    Node,
    Scope,
    ValueType,
    compile_node,
    field_type_of,
    names_in,
    read,
    substituted,
    value_type_of,
)
from crmsync.mapping.expressions.inverting import VALUE, Inverter, NoInverseError
from crmsync.mapping.expressions.values import Get, Run
from crmsync.mapping.findings import Findings, MappingCode, closest
from crmsync.mapping.manner import PLAIN, Manner
from crmsync.mapping.options import options_of
from crmsync.mapping.proving import tried
from crmsync.models.mappings import ComputedField, FieldMapping, ObjectMapping, OnLoss
from crmsync.models.problems import Problem
from crmsync.models.records import MISSING, Side
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema


class ComputedSchema(FieldSchema):
    """A computed field as its side would describe it.

    ``inputs`` are the side's own fields that it is made of, ``targets`` those that a write of it changes. ``obstacle``
    says why it cannot be written, if so. ``shared`` are targets that its inverse changes in part.
    """

    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    obstacle: str = ""


def inputs_of(field: FieldSchema) -> tuple[str, ...]:
    """The side's own fields that a field's value comes from."""
    return field.inputs if isinstance(field, ComputedSchema) else (field.name,)


def targets_of(field: FieldSchema) -> tuple[str, ...]:
    """The side's own fields that a write of a field changes."""
    return field.targets if isinstance(field, ComputedSchema) else field.reach


def inputs_named(mapping: ObjectMapping, side: Side) -> Iterator[tuple[str, str]]:
    """The fields of a side that expressions name, each once and with a place of its own in the mapping."""
    known = {VALUE, *(each.name for each in mapping.computed if each.side is side)}
    for place, each in enumerate(mapping.computed):
        if each.side is not side:
            continue
        for source in (each.expression, *each.inverse.values()):
            with suppress(FaultyError):
                for name in (one.name for one in names_in(read(source))):
                    if name not in known:
                        known.add(name)
                        yield name, f"computed[{place}].{name}"


@attrs.frozen(slots=True)
class Virtual:
    """Both sides with their computed fields: schemas that list them too, and the columns of those that have any."""

    local: ObjectSchema
    remote: ObjectSchema
    sides: Mapping[Side, ComputedSide]

    def inputs(self) -> list[FieldSchema]:
        """The sides' own fields that computed ones are made of or change, as far as they are listed."""
        found: list[FieldSchema] = []
        for schema in (self.local, self.remote):
            computed = [each for each in schema.fields if isinstance(each, ComputedSchema)]
            names = {name for each in computed for name in (*each.inputs, *each.targets)}
            found += [each for each in schema.fields if each.name in names]
        return found


def add_computed(mapping: ObjectMapping, local: ObjectSchema, remote: ObjectSchema, findings: Findings) -> Virtual:
    """Check and compile a mapping's computed fields; every fault goes to ``findings``.

    :raises MissingExtraError: there are some, and the language's packages are not installed.
    """
    schemas = {Side.LOCAL: local, Side.REMOTE: remote}
    sides: dict[Side, ComputedSide] = {}
    for side, schema in schemas.items():
        declared = [(place, each) for place, each in enumerate(mapping.computed) if each.side is side]
        if declared:
            schemas[side], sides[side] = _Computing(schema, declared, findings).go()
    _check_keys(mapping, sides, findings)
    _check_used(mapping, findings)
    return Virtual(schemas[Side.LOCAL], schemas[Side.REMOTE], sides)


def _check_keys(mapping: ObjectMapping, sides: Mapping[Side, ComputedSide], findings: Findings) -> None:
    """What records are found by, and what an archive sets, is a field that its side knows."""
    match = mapping.match
    named = {
        "match.local_email": (Side.LOCAL, match.local_email),
        "match.local_remote_id": (Side.LOCAL, match.local_remote_id),
        "match.remote_email": (Side.REMOTE, match.remote_email),
        "local_archive_field": (Side.LOCAL, mapping.local_archive_field),
        "remote_archive_field": (Side.REMOTE, mapping.remote_archive_field),
    }
    for path, (side, name) in named.items():
        if side in sides and name in sides[side].columns:
            message = f"{name!r} is computed, and the side cannot be asked for it"
            findings.fault(path, MappingCode.COMPUTED_KEY, message, "name a field of the side's own")


def _check_used(mapping: ObjectMapping, findings: Findings) -> None:
    for place, each in enumerate(mapping.computed):
        used = {one.markmail_field if each.side is Side.LOCAL else one.crm_field for one in mapping.fields}
        others = (one.expression for one in mapping.computed if one.side is each.side and one.name != each.name)
        if each.name not in used and not any(each.name in expression for expression in others):
            message = f"no field mapping uses {each.name!r}"
            remedy = f"map it as a {'local' if each.side is Side.LOCAL else 'CRM'} field, or remove it"
            findings.warn(f"computed[{place}].name", MappingCode.COMPUTED_UNUSED, message, remedy)


@attrs.define(slots=True)
class _Computing:
    schema: ObjectSchema
    declared: Sequence[tuple[int, ComputedField]]
    findings: Findings
    trees: dict[str, Node] = attrs.field(factory=dict)
    whole: dict[str, Node] = attrs.field(factory=dict)

    def go(self) -> tuple[ObjectSchema, ComputedSide]:
        for place, each in self.declared:
            self._read(place, each)
        for place, each in self.declared:
            if each.name in self.trees:
                self._unfold(each.name, place, ())
        columns: dict[str, ComputedColumn] = {}
        fields: list[FieldSchema] = []
        for place, each in self.declared:
            column, field = self._column(place, each)
            fields.append(field)
            if column is not None:
                columns[each.name] = column
        inputs = {name: tuple(sorted(column.compiled.names)) for name, column in columns.items()}
        return (
            self.schema.model_copy(update={"fields": (*self.schema.fields, *fields)}),
            ComputedSide(columns, inputs),
        )

    def _fault(self, place: int, part: str, source: str, error: FaultyError) -> None:
        for fault in error.faults:
            path = f"computed[{place}].{part}"
            self.findings.faults.append(Problem(path, fault.code, fault.placed(source), fault.remedy))

    def _read(self, place: int, each: ComputedField) -> None:
        if self.schema.field(each.name) is not None or each.name in self.trees:
            message = f"{self.schema.name} has a field {each.name!r} already"
            remedy = "choose another name for the computed field"
            self.findings.fault(f"computed[{place}].name", MappingCode.COMPUTED_NAME, message, remedy)
            return
        try:
            self.trees[each.name] = read(each.expression)
        except FaultyError as error:
            self._fault(place, "expression", each.expression, error)

    def _unfold(self, name: str, place: int, above: tuple[str, ...]) -> Node | None:
        """The expression over the side's own fields alone."""
        if name in self.whole:
            return self.whole[name]
        if name in above:
            message = f"it is made of itself: {' of '.join((*above[above.index(name) :], name))}"
            path = f"computed[{place}].expression"
            self.findings.fault(path, MappingCode.COMPUTED_CYCLE, message, "take it out of one of these expressions")
            return None
        tree = self.trees.get(name)
        if tree is None:
            return None
        known: dict[str, Node] = {}
        for other in dict.fromkeys(each.name for each in names_in(tree)):
            if other in self.trees and (unfolded := self._unfold(other, place, (*above, name))) is not None:
                known[other] = unfolded
            elif other in self.trees:
                return None
        try:
            self.whole[name] = substituted(tree, known)
        except FaultyError as error:
            self._fault(place, "expression", "", error)
            return None
        return self.whole[name]

    def _scope(self, extra: Mapping[str, FieldType] | None = None) -> Scope:
        given = {each.name: each for each in self.schema.fields}
        return Scope(
            fields={**{name: field.type for name, field in given.items()}, **(extra or {})},
            separators={name: field.separator for name, field in given.items() if field.separator is not None},
            open=self.schema.open,
            owner=self.schema.name,
        )

    def _column(self, place: int, each: ComputedField) -> tuple[ComputedColumn | None, FieldSchema]:
        """The column, None if it has a fault, and the field that it looks like."""
        blind = ComputedSchema(name=each.name, type=each.field_type or FieldType.TEXT)
        tree = self.trees.get(each.name)
        if tree is None or each.name not in self.whole:
            return None, blind
        try:
            # As it is written first: a fault's place is in the author's own text.
            others = {name: self._stand_in(name) for name in self.trees if name != each.name}
            compile_node(tree, self._scope(others))
            compiled = compile_node(self.whole[each.name], self._scope())
        except FaultyError as error:
            self._fault(place, "expression", each.expression, error)
            return None, blind
        self._warn_unlisted(place, compiled)
        kind = each.field_type or field_type_of(compiled.type)
        if compiled.type not in (value_type_of(kind), ValueType.NULL):
            message = f"the expression gives a {compiled.type}, and a {kind} field holds a {value_type_of(kind)}"
            remedy = f"declare another field_type, or wrap the expression in {value_type_of(kind)}(...)"
            self.findings.fault(f"computed[{place}].field_type", MappingCode.COMPUTED_TYPE, message, remedy)
            return None, blind
        inverse, obstacle = self._inverse(place, each, kind, compiled)
        column = ComputedColumn(each.name, compiled, {name: one.run for name, one in inverse.items()})
        if each.inverse and len(inverse) == len(each.inverse):
            self._prove(place, column)
        return column, self._described(each, kind, compiled, inverse, obstacle)

    def _prove(self, place: int, column: ComputedColumn) -> None:
        """Try a given inverse on samples: one that never works is a fault, as every write would be refused."""
        made, returned = tried(column, self.schema)
        if returned == made:
            return
        path = f"computed[{place}].inverse"
        message = f"of {made} sample values of {column.name!r} the inverse gives {returned} back"
        remedy = "try both with `crmsync mapping evaluate`; a value that does not come back is not written"
        report = self.findings.warn if returned else self.findings.fault
        report(path, MappingCode.INVERSE_WRONG, message, remedy)

    def _warn_unlisted(self, place: int, compiled: Compiled) -> None:
        listed = {field.name for field in self.schema.fields}
        for name in sorted(compiled.names - listed) if listed else ():
            message = f"{self.schema.name} does not list a field {name!r}"
            path = f"computed[{place}].expression"
            self.findings.warn(path, MappingCode.COMPUTED_INPUT, message, closest(name, sorted(listed)))

    def _stand_in(self, name: str) -> FieldType:
        """The type of another computed field that an expression refers to."""
        declared = {each.name: each.field_type for _, each in self.declared}
        if (kind := declared.get(name)) is not None:
            return kind
        try:
            return (
                field_type_of(compile_node(self.whole[name], self._scope()).type)
                if name in self.whole
                else FieldType.TEXT
            )
        except FaultyError:
            return FieldType.TEXT

    def _described(
        self, each: ComputedField, kind: FieldType, compiled: Compiled, inverse: Mapping[str, Compiled], obstacle: str
    ) -> ComputedSchema:
        inputs = [found for name in compiled.names if (found := self.schema.field(name)) is not None]
        looked_at = {name for one in inverse.values() for name in one.names if name != VALUE}
        targets = [found for name in inverse if (found := self.schema.field(name)) is not None]
        return ComputedSchema(
            name=each.name,
            type=kind,
            readable=all(field.readable for field in inputs),
            createable=all(field.createable for field in targets) and not obstacle,
            updateable=all(field.updateable for field in targets) and not obstacle,
            inputs=tuple(sorted(compiled.names | looked_at)),
            targets=tuple(inverse),
            shared=tuple(name for name, one in inverse.items() if name in one.names),
            obstacle=obstacle,
        )

    def _inverse(
        self, place: int, each: ComputedField, kind: FieldType, compiled: Compiled
    ) -> tuple[dict[str, Compiled], str]:
        """The inverse, given or known, and why there is none."""
        if each.inverse:
            return self._given(place, each, kind), ""
        options = {one.name: one.options for one in self.schema.fields if one.restricted and one.options}
        try:
            trees = Inverter(self._scope(), options).invert(compiled.node)
        except NoInverseError as error:
            return {}, str(error)
        scope = self._scope({VALUE: kind})
        try:
            return {name: self._fitted(name, compile_node(tree, scope)) for name, tree in trees.items()}, ""
        except FaultyError as error:
            return {}, error.faults[0].message

    def _given(self, place: int, each: ComputedField, kind: FieldType) -> dict[str, Compiled]:
        found: dict[str, Compiled] = {}
        for name, source in each.inverse.items():
            part = f"inverse.{name}"
            if self.schema.field(name) is None and (not self.schema.open or name in self.trees):
                message = f"{self.schema.name} has no field {name!r} of its own"
                remedy = closest(name, (one.name for one in self.schema.fields))
                self.findings.fault(f"computed[{place}].{part}", MappingCode.UNKNOWN_FIELD, message, remedy)
                continue
            try:
                inverse = compile_node(read(source), self._scope({VALUE: kind}))
            except FaultyError as error:
                self._fault(place, part, source, error)
                continue
            wanted = value_type_of(self._target(name).type)
            if inverse.type not in (wanted, ValueType.NULL):
                message = f"the inverse gives a {inverse.type}, and {name!r} holds a {wanted}"
                remedy = f"wrap it in {wanted}(...)"
                self.findings.fault(f"computed[{place}].{part}", MappingCode.COMPUTED_TYPE, message, remedy)
                continue
            found[name] = self._fitted(name, inverse)
        return found

    def _target(self, name: str) -> FieldSchema:
        return self.schema.field(name) or FieldSchema(name=name)

    def _fitted(self, name: str, inverse: Compiled) -> Compiled:
        """An inverse whose result fits the field that it is written to, or fails."""
        target = self._target(name)
        source = FieldSchema(name=name, type=field_type_of(inverse.type))
        kind = target.type if value_type_of(target.type) is inverse.type else source.type
        options = options_of(target, FieldMapping(markmail_field=name, crm_field=name))
        manner = Manner(separator=target.separator or ";")
        converter = converter_of(Route(source, target, kind, PLAIN, manner, options=options), OnLoss.REJECT_FIELD)
        return attrs.evolve(inverse, run=_fitting(inverse.run, converter))


def _fitting(run: Run, converter: FieldConverter) -> Run:
    def fitted(get: Get) -> object:
        value = run(get)
        if value is None or value is MISSING or type(value) is Failed:
            return value
        conversion = converter(value)
        return Failed(conversion.losses[0].message) if conversion.rejected else conversion.value

    return fitted
