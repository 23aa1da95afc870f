"""Functions on patterns. RE2 matches them: in time linear to the text and in bounded memory, whatever the pattern.

It has no backreferences and no look-around, which are what a search that runs away is made of.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import attrs

from crmsync.errors import MissingExtraError
from crmsync.mapping.expressions.catalogue import Function, constant, function, text
from crmsync.mapping.expressions.reading import EXTRA
from crmsync.mapping.expressions.values import MAX_TEXT, TOO_LONG, Failed, ValueType

if TYPE_CHECKING:
    import re2

MAX_PATTERN: Final = 1_000
_MAX_MEMORY: Final = 1 << 20
_MOST_GROUPS: Final = 9
_GROUP: Final = re.compile(r"\$(?:\$|([0-9]))")
_UNPAIRED: Final = Failed("the text holds half a character (an unpaired surrogate)")


@attrs.frozen(slots=True)
class Pattern:
    """A compiled pattern; ``groups`` is how many it has."""

    compiled: re2._Regexp = attrs.field(repr=False)
    source: str

    @property
    def groups(self) -> int:
        """How many groups it has."""
        return int(self.compiled.groups)

    def search(self, value: str) -> Any:
        """The first match, or None."""
        return self.compiled.search(value)


def pattern(source: str) -> Pattern:
    """A constant pattern.

    :raises ValueError: RE2 does not take it. :raises MissingExtraError: RE2 is not installed.
    """
    if len(source) > MAX_PATTERN:
        msg = f"the pattern has more than {MAX_PATTERN} characters"
        raise ValueError(msg)
    try:
        import re2  # noqa: PLC0415 (an extra: only who writes patterns needs it)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("re2", "_re2"):
            raise
        raise MissingExtraError("a pattern in a mapping", EXTRA) from error
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return Pattern(re2.compile(source, options), source)
    except re2.error as error:
        told = error.args[0] if error.args else "unknown"
        shown = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
        msg = f"the pattern is not taken by RE2: {shown}"
        raise ValueError(msg) from None
    except UnicodeEncodeError:
        raise ValueError("the pattern holds half a character (an unpaired surrogate)") from None


@attrs.frozen(slots=True)
class Template:
    """A replacement: texts and the numbers of groups."""

    pieces: tuple[str | int, ...]

    def of(self, match: Any) -> str:
        """What a match is replaced by; a group that took no part is nothing."""
        return "".join(piece if isinstance(piece, str) else match.group(piece) or "" for piece in self.pieces)


def template(source: str) -> Template:
    """A constant replacement: ``$1`` to ``$9`` stand for groups, ``$0`` for the match, ``$$`` for a dollar sign."""
    pieces: list[str | int] = []
    last = 0
    for match in _GROUP.finditer(source):
        pieces += [source[last : match.start()], int(match[1]) if match[1] else "$"]
        last = match.end()
    return Template((*pieces, source[last:]))


def _group_number(value: Decimal) -> int:
    if value != value.to_integral_value() or not 0 <= value <= _MOST_GROUPS:
        msg = f"a group is a whole number from 0 (the match) to {_MOST_GROUPS}"
        raise ValueError(msg)
    return int(value)


def _matches(value: str, expression: Pattern) -> object:
    try:
        return expression.search(value) is not None
    except UnicodeEncodeError:
        return _UNPAIRED


def _extract(value: str, expression: Pattern, group: int = 0) -> object:
    try:
        match = expression.search(value)
    except UnicodeEncodeError:
        return _UNPAIRED
    if match is None:
        return None
    return Failed(f"the pattern has no group {group}") if group > expression.groups else match.group(group)


def _replace_pattern(value: str, expression: Pattern, replacement: Template) -> object:
    if any(isinstance(piece, int) and piece > expression.groups for piece in replacement.pieces):
        return Failed("the replacement names a group that the pattern does not have")
    pieces: list[str] = []
    last = length = 0
    try:
        for match in expression.compiled.finditer(value):
            pieces += (value[last : match.start()], replacement.of(match))
            length += len(pieces[-1]) + len(pieces[-2])
            last = match.end()
            if length > MAX_TEXT:
                return TOO_LONG
    except UnicodeEncodeError:
        return _UNPAIRED
    pieces.append(value[last:])
    return "".join(pieces) if length + len(pieces[-1]) <= MAX_TEXT else TOO_LONG


_TEXT: Final = ValueType.TEXT
_PATTERN: Final = constant("pattern", _TEXT, pattern)

PATTERN_FUNCTIONS: Final[tuple[Function, ...]] = (
    function("matches", (text(), _PATTERN), ValueType.BOOLEAN, _matches, "Whether a pattern is found in the text."),
    function(
        "extract",
        (text(), _PATTERN, constant("group", ValueType.NUMBER, _group_number)),
        _TEXT,
        _extract,
        "What a pattern finds first, or one of its groups; null if nothing.",
        optional=1,
    ),
    function(
        "replace_pattern",
        (text(), _PATTERN, constant("replacement", _TEXT, template)),
        _TEXT,
        _replace_pattern,
        "Everything that a pattern finds replaced; $1 is its first group.",
    ),
)
