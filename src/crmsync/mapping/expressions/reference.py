"""The rows of the reference's tables of functions, in Markdown: the page is held to them by a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from crmsync.mapping.expressions.catalogue import Function
from crmsync.mapping.expressions.date_functions import DATE_FUNCTIONS
from crmsync.mapping.expressions.forms import FORMS, Form
from crmsync.mapping.expressions.number_functions import NUMBER_FUNCTIONS
from crmsync.mapping.expressions.patterns import PATTERN_FUNCTIONS
from crmsync.mapping.expressions.text_functions import TEXT_FUNCTIONS

_LOOKUP: Final = (
    "| `lookup(value, table[, other])` | of the table | What a table has for a value; what is not in it is the last"
    " argument, and without that there is no value. |"
)


def _is_called(form: Form) -> bool:
    return form.signature.startswith(f"{form.name}(")


GROUPS: Final[Mapping[str, Sequence[Function | Form]]] = {
    "Choosing, joining, converting": [each for each in FORMS.values() if _is_called(each)],
    "Texts and lists": TEXT_FUNCTIONS,
    "Patterns": PATTERN_FUNCTIONS,
    "Numbers": [each for each in NUMBER_FUNCTIONS if each.name.isidentifier()],
    "Dates and times": DATE_FUNCTIONS,
}
"""All that has a name, by the sections of the page; operators are in a table of their own."""


def reference_rows(group: str) -> Iterator[str]:
    """One row for each function of a group: how it is called, the type that it gives, what it does."""
    for each in GROUPS[group]:
        yield f"| `{each.signature}` | {each.gives or 'as its arguments'} | {each.summary} |"
    if group.startswith("Choosing"):
        yield _LOOKUP
