"""How parts are put together, and the forms that have rules of their own about blanks: if, coalesce, and, or, ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from crmsync.mapping.expressions.catalogue import ANY
from crmsync.mapping.expressions.values import MAX_TEXT, TOO_LONG, Failed, Get, Run, ValueType, as_text, is_blank
from crmsync.mapping.losses import Refusal
from crmsync.mapping.parsing import parse_boolean
from crmsync.models.records import MISSING

CASTS: Final = frozenset({ValueType.TEXT, ValueType.NUMBER, ValueType.BOOLEAN, ValueType.DATE, ValueType.DATETIME})
_UNLISTED: Final = Failed("the value is not in the table")


def always(value: object) -> Run:
    """A constant."""
    return lambda _: value


def strict(function: Callable[..., object], runs: Sequence[Run], constants: Mapping[int, object]) -> Run:
    """A call that a MISSING, failed or null argument decides; ``constants`` are arguments by their place."""
    last = len(runs)
    computed = [place for place in range(last) if place not in constants]
    if len(computed) == 1 and computed[0] == 0:
        rest = tuple(constants[place] for place in range(1, last))
        return _of_one(function, runs[0], rest) if rest else _alone(function, runs[0])
    return _of_many(function, runs, constants)


def _alone(function: Callable[..., object], first: Run) -> Run:
    def run(get: Get) -> object:
        value = first(get)
        if value is None or value is MISSING or type(value) is Failed:
            return value
        return function(value)

    return run


def _of_one(function: Callable[..., object], first: Run, rest: tuple[object, ...]) -> Run:
    def run(get: Get) -> object:
        value = first(get)
        if value is None or value is MISSING or type(value) is Failed:
            return value
        return function(value, *rest)

    return run


def _of_many(function: Callable[..., object], runs: Sequence[Run], constants: Mapping[int, object]) -> Run:
    parts = tuple(always(constants[place]) if place in constants else run for place, run in enumerate(runs))

    def run(get: Get) -> object:
        values = []
        blank, failed = False, None
        for part in parts:
            value = part(get)
            if value is MISSING:
                return MISSING
            if value is None:
                blank = True
            elif type(value) is Failed:
                failed = failed or value
            values.append(value)
        if failed or blank:
            return failed
        return function(*values)

    return run


def lookup(subject: Run, table: Mapping[Any, object], otherwise: Run | None) -> Run:
    """What a table says for a value; what is not in it is ``otherwise``, or fails."""

    def run(get: Get) -> object:
        value = subject(get)
        if value is None or value is MISSING or type(value) is Failed:
            return value
        if value in table:
            return table[value]
        return _UNLISTED if otherwise is None else otherwise(get)

    return run


def _if(runs: Sequence[Run]) -> Run:
    condition, then, otherwise = runs

    def run(get: Get) -> object:
        value = condition(get)
        if value is True:
            return then(get)
        return otherwise(get) if value is False or value is None else value

    return run


def _coalesce(runs: Sequence[Run]) -> Run:
    def run(get: Get) -> object:
        hidden = False
        for part in runs:
            value = part(get)
            if value is MISSING:
                hidden = True
            elif not is_blank(value):
                return value
        return MISSING if hidden else None

    return run


def _all(runs: Sequence[Run]) -> Run:
    return _until(runs, stop=False)


def _any(runs: Sequence[Run]) -> Run:
    return _until(runs, stop=True)


def _until(runs: Sequence[Run], *, stop: bool) -> Run:
    """The first part that is ``stop``; else MISSING, a failure or null if there is one; else the contrary."""

    def run(get: Get) -> object:
        hidden, blank, failed = False, False, None
        for part in runs:
            value = part(get)
            if value is stop:
                return stop
            hidden = hidden or value is MISSING
            blank = blank or value is None
            if type(value) is Failed:
                failed = failed or value
        if hidden:
            return MISSING
        return failed or (None if blank else not stop)

    return run


def _concat(runs: Sequence[Run]) -> Run:
    def run(get: Get) -> object:
        texts = []
        length, blank, failed = 0, True, None
        for part in runs:
            value = part(get)
            if value is None:
                continue
            if value is MISSING:
                return MISSING
            text = value if type(value) is str else value if type(value) is Failed else as_text(value)
            if type(text) is not str:
                failed = failed or text
                continue
            blank = False
            length += len(text)
            texts.append(text)
        if failed:
            return failed
        if length > MAX_TEXT:
            return TOO_LONG
        return None if blank else "".join(texts)

    return run


def _concat_with(runs: Sequence[Run]) -> Run:
    separator, *rest = runs
    joined = _all_of(rest)

    def run(get: Get) -> object:
        between, found = separator(get), joined(get)
        for value in (between, found):
            if value is MISSING or type(value) is Failed:
                return value
        if not isinstance(found, list) or not found:
            return None
        glue = between if isinstance(between, str) else ""
        if sum(map(len, found)) + len(glue) * len(found) > MAX_TEXT:
            return TOO_LONG
        return glue.join(found)

    return run


def _all_of(runs: Sequence[Run]) -> Run:
    """The texts of the parts that are not blank; MISSING or a failure if one of them is."""

    def run(get: Get) -> object:
        texts: list[str] = []
        failed = None
        for part in runs:
            value = part(get)
            if value is MISSING:
                return MISSING
            text = value if type(value) is Failed or is_blank(value) else as_text(value)
            if type(text) is Failed:
                failed = failed or text
            elif isinstance(text, str) and not is_blank(text):
                texts.append(text)
        return failed or texts

    return run


def _list(runs: Sequence[Run]) -> Run:
    def run(get: Get) -> object:
        found: list[str] = []
        failed = None
        for part in runs:
            value = part(get)
            if value is MISSING:
                return MISSING
            if type(value) is Failed:
                failed = failed or value
            elif isinstance(value, tuple):
                found += value
            elif isinstance(value, str) and not is_blank(value):
                found.append(value.strip())
        if failed:
            return failed
        return tuple(dict.fromkeys(found)) if sum(map(len, found)) <= MAX_TEXT else TOO_LONG

    return run


def _is_blank(runs: Sequence[Run]) -> Run:
    (part,) = runs

    def run(get: Get) -> object:
        value = part(get)
        return value if value is MISSING or type(value) is Failed else is_blank(value)

    return run


def _strict_form(function: Callable[..., object]) -> Callable[[Sequence[Run]], Run]:
    return lambda runs: strict(function, runs, {})


def _boolean(value: object) -> object:
    try:
        return parse_boolean(value, [])
    except Refusal as refusal:
        return Failed(refusal.note.message)


@attrs.frozen(slots=True)
class Form:
    """A form of the language. ``types`` are what each argument may be, the last one for all that follow.

    None among ``types``: any type, and the same for all of these; ``gives`` None: that type.
    """

    name: str
    signature: str
    types: tuple[frozenset[ValueType] | None, ...]
    gives: ValueType | None
    build: Callable[[Sequence[Run]], Run]
    summary: str
    least: int
    most: int | None


def _form(
    signature: str,
    types: tuple[frozenset[ValueType] | None, ...],
    gives: ValueType | None,
    build: Callable[[Sequence[Run]], Run],
    summary: str,
    counts: tuple[int, int | None],
) -> Form:
    return Form(signature.partition("(")[0], signature, types, gives, build, summary, *counts)


def _operator(name: str, kinds: frozenset[ValueType] | None, function: Callable[..., object], summary: str) -> Form:
    build = _strict_form(function)
    return Form(name, f"left {name} right", (kinds,), ValueType.BOOLEAN, build, summary, 2, 2)


_TEXT, _BOOLEAN = ValueType.TEXT, ValueType.BOOLEAN
_TRUTH: Final = frozenset({_BOOLEAN})
_SCALAR: Final = ANY - {ValueType.LIST}
_PAIR: Final = (2, 2)

FORMS: Final[Mapping[str, Form]] = {
    each.name: each
    for each in (
        _form("if(condition, then, else)", (_TRUTH, None), None, _if, "One of two; null counts as false.", (3, 3)),
        _form("coalesce(value, ...)", (None,), None, _coalesce, "The first value that is not blank.", (1, None)),
        _form("is_blank(value)", (ANY,), _BOOLEAN, _is_blank, "Whether a value is null, white space or empty.", (1, 1)),
        _form(
            "concat(value, ...)", (_SCALAR,), _TEXT, _concat, "All of them as one text; blanks are left out.", (1, None)
        ),
        _form(
            "concat_with(separator, value, ...)",
            (frozenset({_TEXT}), _SCALAR),
            _TEXT,
            _concat_with,
            "All that are not blank as one text, a separator between each two.",
            (2, None),
        ),
        _form("list(text, ...)", (frozenset({_TEXT, ValueType.LIST}),), ValueType.LIST, _list, "A list.", (1, None)),
        _form("text(value)", (_SCALAR,), _TEXT, _strict_form(as_text), "A value of any type as text.", (1, 1)),
        _form(
            "boolean(value)",
            (frozenset({_TEXT, ValueType.NUMBER, _BOOLEAN}),),
            _BOOLEAN,
            _strict_form(_boolean),
            "The truth value that a text (true, yes, 1, ...) or a number (1, 0) says.",
            (1, 1),
        ),
        Form("&", "left & right", (_SCALAR,), _TEXT, _concat, "Both as one text; a blank is left out.", *_PAIR),
        Form("and", "left and right", (_TRUTH,), _BOOLEAN, _all, "Whether both are true.", *_PAIR),
        Form("or", "left or right", (_TRUTH,), _BOOLEAN, _any, "Whether one is true.", *_PAIR),
        Form("not", "not value", (_TRUTH,), _BOOLEAN, _strict_form(lambda a: not a), "The contrary.", 1, 1),
        _operator("=", None, lambda a, b: a == b, "Whether they are equal, letter by letter."),
        _operator("!=", None, lambda a, b: a != b, "Whether they differ."),
        _operator(
            "<", None, lambda a, b: a < b, "Whether the first is less, earlier or before in the order of code points."
        ),
        _operator("<=", None, lambda a, b: a <= b, "Whether it is not greater."),
        _operator(">", None, lambda a, b: a > b, "Whether it is greater."),
        _operator(">=", None, lambda a, b: a >= b, "Whether it is not less."),
    )
}
