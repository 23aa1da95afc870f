"""What each type of field is, in a few words: for people who write mappings, and for the reference that they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from crmsync.mapping.pairs import Fit, fit_of
from crmsync.models.schema import FieldType


@attrs.frozen(slots=True)
class TypeNote:
    """``value`` is the Python value, ``reads`` what else is understood, ``limits`` what a field may not be able to hold
    and what becomes of it, ``alike`` what two values may differ in and still be the same.
    """

    value: str
    reads: str
    limits: str
    alike: str


_TRIMMED: Final = "white space around it, kinds of line end"
_DIGITS: Final = "digits after the point are *rounded*; too many before it are *invalid*"
_NUMBER: Final = "int, float, `1.50`, `-2e3`; no thousands separators"

TYPE_NOTES: Final[Mapping[FieldType, TypeNote]] = {
    FieldType.TEXT: TypeNote(
        "`str`",
        "any single value, as text: `true`, `1.5`, `2024-01-31T08:00:00Z`",
        "too long: *truncated*, between two characters as a reader sees them",
        f"{_TRIMMED}; case, with `case_fold`",
    ),
    FieldType.EMAIL: TypeNote(
        "`str`",
        "something, one `@`, something, without white space within",
        "too long: *truncated*, and never written: a cut address is another one",
        f"case, {_TRIMMED}; the spelling is kept",
    ),
    FieldType.PHONE: TypeNote(
        "`str`",
        "any text",
        "too long: *truncated*, and never written",
        "all but plus sign and digits; with `region` how one number is written",
    ),
    FieldType.URL: TypeNote(
        "`str`",
        "any text",
        "too long: *truncated*, and never written",
        "case of scheme and host, the scheme's own port, no path and `/`",
    ),
    FieldType.INTEGER: TypeNote("`int`", _NUMBER, "a fraction is *rounded*; too many digits are *invalid*", "nothing"),
    FieldType.DECIMAL: TypeNote("`Decimal`", _NUMBER, _DIGITS, "zeros at the end"),
    FieldType.CURRENCY: TypeNote(
        "`Decimal`", "as decimal; `EUR 1.50` or `1.50 EUR`, if `currency` is that code", _DIGITS, "zeros at the end"
    ),
    FieldType.PERCENT: TypeNote(
        "`Decimal`, 50 for 50 %",
        'as decimal; `50 %`; 0.5 with `unit = "fraction"`',
        _DIGITS,
        "zeros at the end",
    ),
    FieldType.BOOLEAN: TypeNote(
        "`bool`",
        "0 and 1; `true`, `yes`, `y`, `t`, `on`, `1`; `false`, `no`, `n`, `f`, `off`, `0`; in any case",
        "every other word is *invalid*",
        "a blank and false, where the field cannot be blank",
    ),
    FieldType.DATE: TypeNote(
        "`date`", "`2024-01-31`; a moment, as its date in `zone` or UTC", "the time of day: *precision*", "nothing"
    ),
    FieldType.DATETIME: TypeNote(
        "aware `datetime` in UTC",
        "`2024-01-31T08:00:00Z`, or with an offset; a date, as its first moment in `zone` or UTC",
        "without a zone and without `zone`, or at a time that clocks there skipped or showed twice: *zone*; "
        "fractions of a second finer than the field's: *precision*, never a reason to reject",
        "what is finer than the coarser side keeps",
    ),
    FieldType.TIME: TypeNote(
        "`time`", "`08:30:00`", "another zone than UTC: *zone*; finer fractions: *precision*", "as date-times"
    ),
    FieldType.DURATION: TypeNote(
        "`timedelta`",
        "`PT1H30M`, `1:30:00`; a number of `unit`, of seconds where the field is a number",
        "finer than a microsecond: *precision*; a unit that does not come out even: *rounded*",
        "the spelling",
    ),
    FieldType.PICKLIST: TypeNote(
        "`str`",
        "any text",
        "none of a restricted field's options: *unknown option*, and never written, unless `unknown_option` says so",
        f"{_TRIMMED}; case, with `case_fold`",
    ),
    FieldType.MULTI_PICKLIST: TypeNote(
        "tuple of `str`",
        "a list, a set, one text with `separator`",
        "unknown options: *unknown option*; elements with a separator, or that no longer fit: *dropped element*",
        "order, repetitions; case, with `case_fold`",
    ),
    FieldType.TAGS: TypeNote(
        "tuple of `str`",
        "a list, a set, one text with `separator`",
        "elements with the separator, or that no longer fit: *dropped element*",
        "order, repetitions; case, with `case_fold`",
    ),
    FieldType.REFERENCE: TypeNote(
        "`str`",
        "any text; your own id of a record of the object `references`",
        "too long: *truncated*, and never written; a record that is not linked yet: *invalid*",
        "15 and 18 characters of one id",
    ),
    FieldType.ID: TypeNote(
        "`str`", "any text", "too long: *truncated*, and never written", "15 and 18 characters of one id"
    ),
    FieldType.JSON: TypeNote(
        "`str`, the JSON",
        "a text that is JSON, which keeps its spelling; objects and lists",
        "too long: *truncated*, and never written",
        "white space, order of names",
    ),
    FieldType.ADDRESS: TypeNote(
        "`dict`",
        "an object with `street`, `city`, `state`, `postal_code`, `country`, ..., or those five as lines of a text",
        "other parts: *dropped element*; a part that is too long: *truncated*",
        "blank parts",
    ),
    FieldType.NAME: TypeNote(
        "`dict`",
        "an object with `salutation`, `first_name`, `middle_name`, `last_name`, `suffix`; a text of one or two words",
        "other parts: *dropped element*; a part that is too long: *truncated*; more words in a text: *invalid*",
        "blank parts",
    ),
    FieldType.GEOLOCATION: TypeNote(
        "`dict` with `latitude` and `longitude`",
        "an object, two numbers, `52.52,13.405`; latitude first",
        "digits after the point are *rounded*; off the globe, or one of the two missing: *invalid*",
        "zeros at the end",
    ),
    FieldType.ENCRYPTED: TypeNote(
        "`str`",
        "any text but a mask (`*****`, `XXX-XX-1234`)",
        "a mask is *invalid*: it is neither taken for the value nor written",
        _TRIMMED,
    ),
}


def types_table() -> str:
    """A Markdown table of every type."""
    rows = ([f"`{kind}`", note.value, note.reads, note.limits, note.alike] for kind, note in TYPE_NOTES.items())
    return _table(["type", "value", "reads", "what may not fit", "the same in spite of"], rows)


def pairs_table() -> str:
    """A Markdown table of how values of each type fare as each other type; pairs that are not in it are refused."""
    rows = ([f"`{kind}`", _targets(kind, Fit.LOSSLESS), _targets(kind, Fit.LOSSY)] for kind in FieldType)
    return _table(["from", "always whole", "checked value by value"], rows)


def _targets(source: FieldType, fit: Fit) -> str:
    if source is FieldType.TEXT and fit is Fit.LOSSY:
        return "every other type"
    return ", ".join(f"`{kind}`" for kind in FieldType if kind is not source and fit_of(source, kind) is fit) or "-"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
