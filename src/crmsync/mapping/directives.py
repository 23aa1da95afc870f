"""Whether what a field mapping asks for beyond its direction fits its values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crmsync.mapping.drafts import Draft
from crmsync.mapping.findings import Findings, MappingCode, closest, only_name_like
from crmsync.models.checks import Fix
from crmsync.models.mappings import ConflictPolicy, OnBlank
from crmsync.models.schema import FieldType

_TEXTS: Final = frozenset(
    {
        FieldType.TEXT,
        FieldType.EMAIL,
        FieldType.PHONE,
        FieldType.URL,
        FieldType.PICKLIST,
        FieldType.MULTI_PICKLIST,
        FieldType.TAGS,
        FieldType.ID,
        FieldType.REFERENCE,
    }
)


def check_directives(draft: Draft, forms: Iterable[str], findings: Findings) -> None:
    """``on_blank`` and ``normalise`` of one field mapping; ``forms`` are the names of all normalisers."""
    _check_blank(draft, findings)
    _check_forms(draft, list(forms), findings)


def _check_blank(draft: Draft, findings: Findings) -> None:
    if draft.mapping.on_blank is not OnBlank.DEFAULT:
        return
    fix = Fix(index=draft.index, settings={"on_blank": None})
    if draft.mapping.default is None:
        message, remedy = "a blank is to be replaced by the default, and none is given", "give a default"
        findings.fault(draft.path("on_blank"), MappingCode.DIRECTIVE_UNFIT, message, remedy, fix)
    elif draft.kind.set_valued and draft.policy is ConflictPolicy.SET_MERGE:
        message = "a set that is merged element by element is never replaced by a default"
        findings.fault(draft.path("on_blank"), MappingCode.DIRECTIVE_UNFIT, message, 'say on_blank = "keep"', fix)


def _check_forms(draft: Draft, forms: list[str], findings: Findings) -> None:
    asked, path = draft.mapping.normalise, draft.path("normalise")
    for name in asked:
        if name not in forms:
            meant = only_name_like(name, forms)
            names = [meant if each == name else each for each in asked]
            fix = Fix(index=draft.index, settings={"normalise": names}) if meant else None
            message = f"there is no normaliser {name!r}"
            findings.fault(path, MappingCode.UNKNOWN_NORMALISER, message, closest(name, forms), fix)
    if asked and draft.known and draft.kind not in _TEXTS:
        fix = Fix(index=draft.index, settings={"normalise": None})
        message = f"values of a {draft.kind} field are no texts: they are compared by what they mean"
        findings.fault(path, MappingCode.DIRECTIVE_UNFIT, message, "leave it out", fix)
