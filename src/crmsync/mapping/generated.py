"""One function for the conversion of a field, and one for that of a whole record, as generated code.

The source is put together from the lines in this module and the expressions of `crmsync.mapping.shortcuts`, and from
numbers that count the fields. Names of fields, lengths, options and whatever else a user or a CRM says are arguments of
the code, never part of it. Mappings of the same shape share one compiled source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from textwrap import indent
from types import CodeType
from typing import Any, Final, TypeAlias

from crmsync.mapping.shortcuts import SAFE, Case

Function: TypeAlias = Callable[[Any], Any]
Rest: TypeAlias = Callable[[object, list[Any]], object]
"""Converts a value that no shortcut covers; what is out of the ordinary about it is appended to the list."""

_KEPT: Final = 256

_FIELD: Final = """\
def make({arguments}):
    def convert(v):
        try:
            {cases}
        except (ValueError, ArithmeticError):
            pass
        return slow(v)
    return convert
"""

_RECORD: Final = """\
def make({arguments}):
    def convert(fields):
        if type(fields) is not dict:
            return stepwise(fields)
        try:
            {values} = fetch(fields)
            odd = []
{conversions}
{characters}
        except (KeyError, ValueError, ArithmeticError):
            return stepwise(fields)
        if odd:
            return report(({values}), odd)
{result}
    return convert
"""

_DICTIONARY: Final = """\
        converted = copy()
{stores}
        return new(kind, (converted, (), ()))"""

_CHARACTERS: Final = """\
            text = f"{texts}"
            if not ({safe}):
                return stepwise(fields)"""


def field_function(cases: Sequence[Case], slow: Function) -> Function:
    """A function of one value: by the first case that covers it, else by ``slow``."""
    if not cases:
        return slow
    lines: list[str] = []
    bound: dict[str, object] = {"slow": slow}
    for place, case in enumerate(cases):
        test, result, names = _placed(case, "v", f"0_{place}")
        if case.text:
            safe, _, safe_names = _placed(SAFE, "v", "0")
            test, names = f"({test}) and ({safe})", {**names, **safe_names}
        lines.append(f"if {test}:\n    return {result}")
        bound.update(names)
    source = _FIELD.format(arguments=", ".join(bound), cases=indent("\n".join(lines), " " * 12).lstrip())
    return _made(source, bound)


def record_function(
    sources: Sequence[str],
    targets: Sequence[str],
    fields: Sequence[tuple[Sequence[Case], Rest]],
    **functions: Any,
) -> Function:
    """A function of one record, a plain dictionary that has all the sources; of any other ``stepwise`` takes care.

    ``functions`` are ``stepwise``; ``report``, which makes the result of the converted values where some were out of
    the ordinary; and ``kind``, the tuple type of the result.
    """
    bound: dict[str, Any] = {
        **functions,
        "copy": dict.fromkeys(targets).copy,
        "new": tuple.__new__,
        **{f"target_{place}": target for place, target in enumerate(targets)},
    }
    stores = "\n".join(f"converted[target_{place}] = v{place}" for place in range(len(targets)))
    return _record(sources, fields, bound, _DICTIONARY.format(stores=indent(stores, " " * 8)))


def values_function(sources: Sequence[str], fields: Sequence[tuple[Sequence[Case], Rest]]) -> Function:
    """A function of one record: the converted values of the sources; None where anything is out of the ordinary."""

    def nothing(*_: object) -> None:
        return None

    values = ", ".join(f"v{place}" for place in range(len(sources)))
    return _record(sources, fields, {"stepwise": nothing, "report": nothing}, f"        return ({values},)")


def _record(
    sources: Sequence[str], fields: Sequence[tuple[Sequence[Case], Rest]], bound: dict[str, Any], result: str
) -> Function:
    bound["fetch"] = itemgetter(*sources) if len(sources) > 1 else lambda record: (record[sources[0]],)
    conversions, texts = [], []
    for place, (cases, rest) in enumerate(fields):
        value = f"v{place}"
        conversions.append(_conversion(value, place, cases, bound))
        texts += [f"{{{value}}}" for case in cases if case.text]
        bound[f"rest_{place}"] = rest
    characters = ""
    if texts:
        safe, _, names = _placed(SAFE, "text", "0")
        characters = _CHARACTERS.format(texts="".join(texts), safe=safe)
        bound.update(names)
    source = _RECORD.format(
        arguments=", ".join(bound),
        values=", ".join(f"v{place}" for place in range(len(sources))) + ",",
        conversions=indent("\n".join(conversions), " " * 12),
        characters=characters,
        result=result,
    )
    return _made(source, bound)


def _conversion(value: str, place: int, cases: Sequence[Case], bound: dict[str, Any]) -> str:
    lines = []
    for number, case in enumerate(cases):
        test, result, names = _placed(case, value, f"{place}_{number}")
        lines.append(f"{'el' if number else ''}if {test}:")
        lines.append(f"    {value} = {result}" if result != value else "    pass")
        bound.update(names)
    lines.append(f"{'el' if cases else ''}if {value} is not None:")
    lines.append(f"    {value} = rest_{place}({value}, odd)")
    return "\n".join(lines)


def _placed(case: Case, value: str, place: str) -> tuple[str, str, Mapping[str, object]]:
    """A case's test and result for one variable, and the arguments they need by the names they have there."""
    names = {name: f"{name}_{place}" for name in case.bound}
    arguments = {names[name]: bound for name, bound in case.bound.items()}
    return case.test.format(v=value, **names), case.result.format(v=value, **names), arguments


def _made(source: str, bound: Mapping[str, object]) -> Function:
    scope: dict[str, Any] = {}
    exec(_compiled(source), scope)  # noqa: S102 (our own lines and numbers only, as the module's docstring says)
    made: Function = scope["make"](**bound)
    return made


@lru_cache(maxsize=_KEPT)
def _compiled(source: str) -> CodeType:
    return compile(source, "<crmsync mapping>", "exec")
