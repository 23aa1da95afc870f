"""The merge engine's pure core: shadows as digests, the merge of two records, the operations that follow."""

from __future__ import annotations

from crmsync.diff.decisions import ConflictNote, FieldDecision, Merge
from crmsync.diff.digests import BLANK_SHADOW, Digester, Shadow, sync_hash
from crmsync.diff.drift import FieldDrift, field_drifts, forget_fields
from crmsync.diff.marks import PersonMarks
from crmsync.diff.merge import Merger
from crmsync.diff.overwrites import OverwriteLimits, holds_value, overwrites
from crmsync.diff.planner import DeleteAction, DeleteDecision, decide_delete, delete_limit, merge_new, operation
from crmsync.diff.policies import Verdict
from crmsync.diff.settle import SideResult, settle, took_effect

__all__ = [
    "BLANK_SHADOW",
    "ConflictNote",
    "DeleteAction",
    "DeleteDecision",
    "Digester",
    "FieldDecision",
    "FieldDrift",
    "Merge",
    "Merger",
    "OverwriteLimits",
    "PersonMarks",
    "Shadow",
    "SideResult",
    "Verdict",
    "decide_delete",
    "delete_limit",
    "field_drifts",
    "forget_fields",
    "holds_value",
    "merge_new",
    "operation",
    "overwrites",
    "settle",
    "sync_hash",
    "took_effect",
]
