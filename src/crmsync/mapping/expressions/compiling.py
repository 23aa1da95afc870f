"""From a tree to a closure, with every fault of types, names and constants on the way.

A compiled expression is a function of ``fields.get``; nothing of the user's text is ever executed as code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import attrs

from crmsync.mapping.expressions import forms
from crmsync.mapping.expressions.catalogue import Function, Parameter
from crmsync.mapping.expressions.faults import ExpressionCode, Fault, FaultyError
from crmsync.mapping.expressions.functions import FUNCTIONS
from crmsync.mapping.expressions.syntax import Call, Literal, Name, Node, Table
from crmsync.mapping.expressions.values import Failed, Run, ValueType, bounded_text, reader_of, value_type_of
from crmsync.mapping.findings import closest
from crmsync.models.schema import FieldType

_BROKEN: Final = Failed("the expression cannot be computed for this record")


@attrs.frozen(slots=True)
class Scope:
    """The fields that an expression may refer to.

    ``separators`` are of fields that hold a set as one text. ``open`` True: other fields are texts.
    ``owner`` names what lacks a field.
    """

    fields: Mapping[str, FieldType]
    separators: Mapping[str, str] = attrs.field(factory=dict)
    open: bool = False
    owner: str = "the record"


@attrs.frozen(slots=True)
class Compiled:
    """An expression that can be evaluated: its type, the fields that it looks at, and the closure."""

    node: Node
    type: ValueType
    names: frozenset[str]
    run: Run = attrs.field(repr=False)


def compile_node(node: Node, scope: Scope) -> Compiled:
    """Check and compile.

    :raises FaultyError: with every fault. :raises MissingExtraError: a pattern is used, and RE2 is not installed.
    """
    compiler = _Compiler(scope)
    value_type, run = compiler.compile(node)
    if compiler.faults:
        raise FaultyError(tuple(sorted(compiler.faults, key=lambda fault: fault.at)))
    return Compiled(node, value_type or ValueType.NULL, frozenset(compiler.names), _total(run))


def _total(run: Run) -> Run:
    def total(get: Callable[[str, object], object]) -> object:
        try:
            value = run(get)
        except Exception:  # noqa: BLE001 (total: a foreign object may raise anything when it is looked at)
            return _BROKEN
        return bounded_text(value) if type(value) is str else value

    return total


_Typed = tuple[ValueType | None, Run]
"""A part's type, None where a fault in it leaves it open, and its closure."""


@attrs.define(slots=True)
class _Compiler:
    scope: Scope
    faults: list[Fault] = attrs.field(factory=list)
    names: set[str] = attrs.field(factory=set)

    def compile(self, node: Node) -> _Typed:
        match node:
            case Literal():
                return self._literal(node)
            case Name():
                return self._name(node)
            case Table():
                remedy = 'give it to lookup: lookup(country, {"DE": "Germany"}, "other")'
                self._fault(node.at, ExpressionCode.TABLE, "a table stands by itself", remedy)
                return None, forms.always(None)
            case _:
                return self._call(node)

    def _fault(self, at: int, code: ExpressionCode, message: str, remedy: str) -> None:
        self.faults.append(Fault(at, code, message, remedy))

    def _literal(self, node: Literal) -> _Typed:
        kinds: Mapping[type, ValueType] = {str: ValueType.TEXT, Decimal: ValueType.NUMBER, bool: ValueType.BOOLEAN}
        return kinds.get(type(node.value), ValueType.NULL), forms.always(node.value)

    def _name(self, node: Name) -> _Typed:
        kind = self.scope.fields.get(node.name, FieldType.TEXT if self.scope.open else None)
        if kind is None:
            message = f"{self.scope.owner} has no field {node.name!r}"
            self._fault(node.at, ExpressionCode.UNKNOWN_NAME, message, closest(node.name, self.scope.fields))
            return None, forms.always(None)
        self.names.add(node.name)
        return value_type_of(kind), reader_of(node.name, kind, self.scope.separators.get(node.name, ";"))

    def _call(self, node: Call) -> _Typed:
        if node.function == "lookup":
            return self._lookup(node)
        arguments = [self.compile(each) for each in node.arguments]
        if node.function == "-" and len(arguments) == 1:
            return self._called(node, FUNCTIONS["-"], [(ValueType.NUMBER, forms.always(Decimal(0))), *arguments])
        if node.function in forms.FORMS:
            return self._form(node, forms.FORMS[node.function], arguments)
        known = FUNCTIONS.get(node.function)
        if known is None:
            message = f"there is no function {node.function!r}"
            names = [name for name in (*FUNCTIONS, *forms.FORMS, "lookup") if name.isidentifier()]
            self._fault(node.at, ExpressionCode.UNKNOWN_FUNCTION, message, closest(node.function, names))
            return None, forms.always(None)
        return self._called(node, known, arguments)

    def _called(self, node: Call, function: Function, arguments: Sequence[_Typed]) -> _Typed:
        most = None if function.repeats else len(function.parameters)
        if len(arguments) < function.least or (most is not None and len(arguments) > most):
            message = f"{function.name} cannot be given {len(arguments)} argument(s)"
            self._fault(node.at, ExpressionCode.ARGUMENT_COUNT, message, f"write {function.signature}")
            return function.gives, forms.always(None)
        given = [function.parameters[min(place, len(function.parameters) - 1)] for place in range(len(arguments))]
        # A minus before one operand has a zero that nobody wrote.
        nodes = [*[node] * (len(arguments) - len(node.arguments)), *node.arguments]
        runs: list[Run] = []
        constants: dict[int, object] = {}
        for place, (parameter, part, (kind, run)) in enumerate(zip(given, nodes, arguments, strict=True)):
            self._check_type(function.name, parameter, kind, part)
            runs.append(run)
            if parameter.prepare is not None:
                constants[place] = self._constant(function.name, parameter, part)
        gives = function.gives or arguments[0][0]
        return gives, forms.strict(function.run, runs, constants)

    def _check_type(self, name: str, parameter: Parameter, kind: ValueType | None, part: Node) -> None:
        if kind is None or kind in parameter.types or kind is ValueType.NULL:
            return
        wanted = " or ".join(sorted(parameter.types))
        message = f"{name} takes a {wanted} as its {parameter.name}, and this is a {kind}"
        self._fault(part.at, ExpressionCode.ARGUMENT_TYPE, message, _remedy(parameter.types))

    def _constant(self, name: str, parameter: Parameter, part: Node) -> object:
        if not isinstance(part, Literal) or part.value is None:
            message = f"the {parameter.name} of {name} must be a constant"
            self._fault(part.at, ExpressionCode.NOT_CONSTANT, message, "write it out, in quotes if it is a text")
            return None
        if not isinstance(part.value, str | Decimal) or parameter.prepare is None:
            return None
        if (isinstance(part.value, str)) is not (ValueType.TEXT in parameter.types):
            return None
        try:
            return parameter.prepare(part.value)
        except ValueError as error:
            self._fault(part.at, ExpressionCode.BAD_CONSTANT, f"{name}: {error}", "correct it")
            return None

    def _form(self, node: Call, form: forms.Form, arguments: Sequence[_Typed]) -> _Typed:
        if not form.least <= len(arguments) <= (form.most or len(arguments)):
            message = f"{form.name} cannot be given {len(arguments)} argument(s)"
            self._fault(node.at, ExpressionCode.ARGUMENT_COUNT, message, f"write {form.signature}")
            return form.gives, forms.always(None)
        alike: list[tuple[ValueType, Node]] = []
        for place, (part, (kind, _)) in enumerate(zip(node.arguments, arguments, strict=True)):
            wanted = form.types[min(place, len(form.types) - 1)]
            if wanted is None:
                if kind is not None:
                    alike.append((kind, part))
            elif kind is not None and kind is not ValueType.NULL and kind not in wanted:
                names = " or ".join(sorted(wanted))
                message = f"{form.name} takes a {names} here, and this is a {kind}"
                self._fault(part.at, ExpressionCode.ARGUMENT_TYPE, message, _remedy(wanted))
        shared = self._alike(form.name, alike)
        return form.gives or shared, form.build([run for _, run in arguments])

    def _alike(self, name: str, parts: Sequence[tuple[ValueType, Node]]) -> ValueType | None:
        """The one type of these parts."""
        kinds = [kind for kind, _ in parts if kind is not ValueType.NULL]
        for kind, part in parts:
            if kind not in (ValueType.NULL, kinds[0] if kinds else kind):
                message = f"{name} needs values of one type, and beside a {kinds[0]} this is a {kind}"
                remedy = "make one of them the other's type with text(...), number(...) or date(...)"
                self._fault(part.at, ExpressionCode.ARGUMENT_TYPE, message, remedy)
                return kinds[0]
        return kinds[0] if kinds else (ValueType.NULL if parts else None)

    def _lookup(self, node: Call) -> _Typed:
        match node.arguments:
            case (subject, Table() as table):
                rest: tuple[Node, ...] = ()
            case (subject, Table() as table, otherwise):
                rest = (otherwise,)
            case _:
                remedy = 'write lookup(value, {"DE": "Germany", "FR": "France"}, "other"); the last may be left out'
                self._fault(node.at, ExpressionCode.TABLE, "lookup takes a value and a table", remedy)
                return None, forms.always(None)
        kind, run = self.compile(subject)
        keys, values = zip(*table.entries, strict=True) if table.entries else ((), ())
        self._alike("a table's left side", [*self._typed(kind, subject), *self._kinds(keys)])
        others = [(each, self.compile(each)) for each in rest]
        typed = [pair for each, (found, _) in others for pair in self._typed(found, each)]
        gives = self._alike("a table's right side", [*self._kinds(values), *typed])
        self._check_keys(table)
        names = {key.value: value.value for key, value in table.entries}
        return gives, forms.lookup(run, names, others[0][1][1] if others else None)

    def _kinds(self, constants: Sequence[Literal]) -> list[tuple[ValueType, Node]]:
        return [(kind, each) for each in constants if (kind := self._literal(each)[0]) is not None]

    def _typed(self, kind: ValueType | None, node: Node) -> list[tuple[ValueType, Node]]:
        return [] if kind is None else [(kind, node)]

    def _check_keys(self, table: Table) -> None:
        if not table.entries:
            self._fault(table.at, ExpressionCode.TABLE, "the table is empty", 'write {"DE": "Germany"}')
        seen: set[object] = set()
        for key, _ in table.entries:
            if key.value is None or key.value in seen:
                message = "a blank has no entry" if key.value is None else f"the table has {key.value!r} twice"
                self._fault(key.at, ExpressionCode.TABLE, message, "remove the entry; use coalesce for blanks")
            seen.add(key.value)


def _remedy(wanted: frozenset[ValueType]) -> str:
    casts = [f"{kind}(...)" for kind in sorted(wanted) if kind in forms.CASTS]
    return f"convert it with {' or '.join(casts)}" if casts else "give it another value"
