"""The language of computed fields: small, typed and total, with no loop, no clock and no way out of it."""

from __future__ import annotations

from crmsync.mapping.expressions.compiling import Compiled, Scope, compile_node
from crmsync.mapping.expressions.faults import ExpressionCode, Fault, FaultyError
from crmsync.mapping.expressions.printing import name_text, printed
from crmsync.mapping.expressions.reading import read
from crmsync.mapping.expressions.syntax import Call, Literal, Name, Node, Table, names_in, substituted
from crmsync.mapping.expressions.values import Failed, ValueType, field_type_of, value_type_of

__all__ = [
    "Call",
    "Compiled",
    "ExpressionCode",
    "Failed",
    "Fault",
    "FaultyError",
    "Literal",
    "Name",
    "Node",
    "Scope",
    "Table",
    "ValueType",
    "compile_node",
    "field_type_of",
    "name_text",
    "names_in",
    "printed",
    "read",
    "substituted",
    "value_type_of",
]
