"""From an expression's text to its tree."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from crmsync.errors import MissingExtraError
from crmsync.mapping.expressions.faults import ExpressionCode, Fault, FaultyError
from crmsync.mapping.expressions.syntax import MAX_SOURCE, Call, Literal, Name, Node, Table

if TYPE_CHECKING:
    from lark import Lark, Token

FEATURE: Final = "an expression in a mapping"
EXTRA: Final = "expressions"

_MAX_NUMBER: Final = 40
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES: Final = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


@lru_cache(maxsize=512)
def read(text: str) -> Node:
    """The tree of an expression.

    :raises FaultyError: it cannot be read, with the one place where reading ended.
    :raises MissingExtraError: the parser's package is not installed.
    """
    if len(text) > MAX_SOURCE:
        message = f"the expression has {len(text)} characters, {MAX_SOURCE} are possible"
        raise FaultyError((Fault(0, ExpressionCode.TOO_LONG, message, "split it into several computed fields"),))
    parser = _parser()
    from lark.exceptions import UnexpectedInput  # noqa: PLC0415 (an extra, and here it is installed)

    try:
        node: Node = parser.parse(text)  # type: ignore[assignment] # the builder makes nodes, not lark's trees
    except UnexpectedInput as error:
        raise FaultyError((_syntax_fault(text, error),)) from None
    return node


def negated(node: Node, at: int = 0) -> Node:
    """A minus before an operand; of a number that stands there it is part."""
    if isinstance(node, Literal) and isinstance(node.value, Decimal):
        return Literal(-node.value if node.value else node.value, at)
    return Call("-", (node,), at)


@cache
def _parser() -> Lark:
    try:
        from lark import Lark, Transformer  # noqa: PLC0415 (an extra: only who writes expressions needs it)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "lark":
            raise
        raise MissingExtraError(FEATURE, EXTRA) from error
    grammar = resources.files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8")
    builder = type("Builder", (_Builder, Transformer), {})
    return Lark(grammar, parser="lalr", transformer=builder(), maybe_placeholders=False)


def _syntax_fault(text: str, error: Any) -> Fault:
    at = error.pos_in_stream
    token = getattr(error, "token", None)
    ended = at is None or at < 0 or (token is not None and token.type == "$END")
    found = "the end" if ended else repr(str(token) if token is not None else text[at : at + 1])
    remedy = (
        'texts stand in quotes, names with spaces in [brackets], arguments in parentheses: concat([First Name], "!")'
    )
    return Fault(len(text) if ended else at, ExpressionCode.SYNTAX, f"{found} is not expected here", remedy)


def _start(token: Token) -> int:
    return token.start_pos or 0


class _Builder:
    """Builds the tree from the bottom up while the text is read; each method is named after its rule."""

    def binary(self, children: list[Any]) -> Node:
        left, operator, right = children
        return Call(str(operator), (left, right), _start(operator))

    def prefix(self, children: list[Any]) -> Node:
        operator, operand = children
        if operator == "not":
            return Call("not", (operand,), _start(operator))
        return negated(operand, _start(operator))

    def quoted(self, children: list[Token]) -> Node:
        token = children[0]
        return Literal(_unescaped(token), _start(token))

    def raw(self, children: list[Token]) -> Node:
        return Literal(str(children[0])[1:-1], _start(children[0]))

    def number(self, children: list[Token]) -> Literal:
        token = children[0]
        if len(token) > _MAX_NUMBER:
            message = f"a number of more than {_MAX_NUMBER} digits"
            raise FaultyError((Fault(_start(token), ExpressionCode.BAD_CONSTANT, message, "write a shorter one"),))
        return Literal(Decimal(str(token)), _start(token))

    def signed(self, children: list[Token]) -> Node:
        return negated(self.number(children[1:]), _start(children[0]))

    def true(self, children: list[Token]) -> Node:
        return Literal(value=True, at=_start(children[0]))

    def false(self, children: list[Token]) -> Node:
        return Literal(value=False, at=_start(children[0]))

    def null(self, children: list[Token]) -> Node:
        return Literal(None, _start(children[0]))

    def name(self, children: list[Token]) -> Node:
        token = children[0]
        return Name(str(token)[1:-1].replace("]]", "]") if token[0] == "[" else str(token), _start(token))

    def call(self, children: list[Any]) -> Node:
        return Call(str(children[0]), tuple(children[1:]), _start(children[0]))

    def table(self, children: list[Any]) -> Node:
        return Table(tuple(children[1:]), _start(children[0]))

    def entry(self, children: list[Literal]) -> tuple[Literal, Literal]:
        return children[0], children[1]


def _unescaped(token: Token) -> str:
    def one(match: re.Match[str]) -> str:
        escape = match[1]
        if len(escape) > 1:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPES:
            message = f"\\{escape} stands for nothing in a text"
            remedy = "double the backslash, or put the text into single quotes, where it stands for itself"
            place = _start(token) + 1 + match.start()
            raise FaultyError((Fault(place, ExpressionCode.BAD_CONSTANT, message, remedy),))
        return _ESCAPES[escape]

    return _ESCAPE.sub(one, str(token)[1:-1])
