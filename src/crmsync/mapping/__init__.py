"""The mapping engine: checks a mapping against both sides, compiles it, converts values and records. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.exports import loading

if TYPE_CHECKING:
    from crmsync.mapping.comparing import TEXT_FORMS, TextForm
    from crmsync.mapping.compiler import CustomPolicy, compile_mapping
    from crmsync.mapping.drift import schema_drift
    from crmsync.mapping.engine import RecordConversion, RecordConverter, problem_of, to_local, to_remote
    from crmsync.mapping.evaluating import Evaluation, evaluate
    from crmsync.mapping.expressions import ExpressionCode
    from crmsync.mapping.findings import MappingCode
    from crmsync.mapping.ids import id_checksum, normal_id
    from crmsync.mapping.inspection import check_mapping, fixed
    from crmsync.mapping.pairs import Fit, fit_of, meaning_of

_HOMES = {
    "crmsync.mapping.comparing": ("TEXT_FORMS", "TextForm"),
    "crmsync.mapping.compiler": ("CustomPolicy", "compile_mapping"),
    "crmsync.mapping.drift": ("schema_drift",),
    "crmsync.mapping.engine": ("RecordConversion", "RecordConverter", "problem_of", "to_local", "to_remote"),
    "crmsync.mapping.evaluating": ("Evaluation", "evaluate"),
    "crmsync.mapping.expressions": ("ExpressionCode",),
    "crmsync.mapping.findings": ("MappingCode",),
    "crmsync.mapping.ids": ("id_checksum", "normal_id"),
    "crmsync.mapping.inspection": ("check_mapping", "fixed"),
    "crmsync.mapping.pairs": ("Fit", "fit_of", "meaning_of"),
}

if not TYPE_CHECKING:
    __getattr__ = loading(globals(), _HOMES)

__all__ = [
    "TEXT_FORMS",
    "CustomPolicy",
    "Evaluation",
    "ExpressionCode",
    "Fit",
    "MappingCode",
    "RecordConversion",
    "RecordConverter",
    "TextForm",
    "check_mapping",
    "compile_mapping",
    "evaluate",
    "fit_of",
    "fixed",
    "id_checksum",
    "meaning_of",
    "normal_id",
    "problem_of",
    "schema_drift",
    "to_local",
    "to_remote",
]
