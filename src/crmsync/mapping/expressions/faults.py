"""What is wrong with an expression, where, and what to do about it."""

from __future__ import annotations

import enum

import attrs


class ExpressionCode(enum.StrEnum):
    """The stable codes of what reading and checking an expression find."""

    SYNTAX = "syntax"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    UNKNOWN_NAME = "unknown_name"
    UNKNOWN_FUNCTION = "unknown_function"
    ARGUMENT_COUNT = "argument_count"
    ARGUMENT_TYPE = "argument_type"
    NOT_CONSTANT = "not_constant"
    BAD_CONSTANT = "bad_constant"
    TABLE = "table"


@attrs.frozen(slots=True)
class Fault:
    """One fault. ``at`` counts the characters of the text before it."""

    at: int
    code: ExpressionCode
    message: str
    remedy: str

    def placed(self, source: str) -> str:
        """The message with its place: a column, and the line of a text of several."""
        column = self.at - (source.rfind("\n", 0, self.at) + 1) + 1
        line = f"line {source.count(chr(10), 0, self.at) + 1}, " if "\n" in source else ""
        return f"{line}column {column}: {self.message}"


class FaultyError(Exception):
    """An expression cannot be used. Never leaves `crmsync.mapping`, which makes problems of its faults."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults
