"""Values and the list of options of the field that they are written to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from crmsync.mapping.losses import Note
from crmsync.models.mappings import FieldMapping, UnknownOption
from crmsync.models.schema import FieldSchema
from crmsync.protocols.conversion import LossKind

_REPLACED: Final = Note(
    LossKind.UNKNOWN_OPTION, "not one of the field's options: the fallback stands for it", tolerated=True
)


@attrs.frozen(slots=True)
class Options:
    """What a list of options makes of a value.

    ``known`` are the options, ``folded`` those that are alone in their spelling but for case, if case is ignored.
    ``binding``: other values are not written. ``fallback`` is the option that stands for them, if there is one.
    """

    known: frozenset[str]
    folded: Mapping[str, str]
    binding: bool
    fallback: str = ""

    def chosen(self, text: str, notes: list[Note]) -> str | None:
        """The option that a text becomes, or the text itself where others are taken too; None: it is refused."""
        if text in self.known:
            return text
        spelled = self.folded.get(text.casefold())
        if spelled is not None:
            return spelled
        if self.fallback:
            notes.append(_REPLACED)
            return self.fallback
        return None if self.binding else text


def options_of(field: FieldSchema, mapping: FieldMapping) -> Options | None:
    """What a target field's options do under a field mapping; None: nothing."""
    if not field.options:
        return None
    folded: dict[str, list[str]] = {}
    for option in field.options if mapping.case_fold else ():
        folded.setdefault(option.casefold(), []).append(option)
    falls = mapping.unknown_option is UnknownOption.FALLBACK and mapping.fallback_option in field.options
    binding = field.restricted or mapping.unknown_option is UnknownOption.REJECT
    if not (binding or folded or falls):
        return None
    return Options(
        frozenset(field.options),
        {spelling: each[0] for spelling, each in folded.items() if len(each) == 1},
        binding,
        mapping.fallback_option if falls else "",
    )


def binding(field: FieldSchema, mapping: FieldMapping) -> bool:
    """Whether a field's options have a say in what is written to it or read as the same."""
    return field.restricted or mapping.case_fold or mapping.unknown_option is not UnknownOption.ACCEPT
