"""How many API calls it takes to apply a plan, told before any is made.

Follows `crmsync.engine.run.apply` step by step, with the store's own word for each. A sync reads as
the plan did instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from crmsync.diff.policies import is_restrictive
from crmsync.engine.context import RunContext
from crmsync.engine.retrying import BATCH
from crmsync.models.calls import CallEstimate, StoreUse, StoreVerb
from crmsync.models.mappings import ConflictPolicy, DeletePolicy
from crmsync.models.plans import PlannedRecord
from crmsync.models.records import OperationKind, Side
from crmsync.protocols.conversion import FieldRule
from crmsync.protocols.records import SupportsCallEstimates


def estimate_apply(ctx: RunContext, planned: Sequence[PlannedRecord], opening: int) -> CallEstimate | None:
    """The calls of the remote side, with those that opening a connection takes; None if the store cannot say.

    They hold while no other run comes in between and nothing is left behind by one that was cut off.
    """
    store = ctx.remote.estimates
    if store is None:
        return None
    # Who we are is found out once, in the first call that needs it.
    total = CallEstimate(opening + 1, opening)
    try:
        for start in range(0, len(planned), BATCH):
            page = [record for record in planned[start : start + BATCH] if not _meets_late(ctx, record)]
            total += _Batch(ctx, store, page).calls()
        total += _Batch(ctx, store, [record for record in planned if _meets_late(ctx, record)]).calls()
        return total + _farewells(ctx, store, planned)
    except _UnknownError:
        return None


def estimate_sync(ctx: RunContext, planned: Sequence[PlannedRecord], reading: int) -> int | None:
    """About how many calls a sync takes that reads as a plan did, with so many, and writes what it holds."""
    store = ctx.remote.estimates
    if store is None:
        return None
    updates, deletes = sum(map(_writes_remote, planned)), sum(map(_deletes_remote, planned))
    try:
        return reading + (_writes(ctx, store, updates) + _writes(ctx, store, deletes)).likely
    except _UnknownError:
        return None


_STEPS = 6
"""Queries for what was folded into records: merges of two steps, for up to three kinds."""


class _UnknownError(Exception):
    """The store cannot say what one of the steps takes."""


def _told(store: SupportsCallEstimates, use: StoreUse) -> CallEstimate:
    found = store.estimate(use)
    if found is None:
        raise _UnknownError
    return found


class _Batch:
    """Up to `BATCH` planned records."""

    def __init__(self, ctx: RunContext, store: SupportsCallEstimates, planned: Sequence[PlannedRecord]) -> None:
        self._ctx = ctx
        self._store = store
        self._planned = planned

    def calls(self) -> CallEstimate:
        linked = [record for record in self._planned if record.linked]
        from_crm = [record for record in self._planned if not record.linked and record.crm_id]
        from_local = [record for record in self._planned if not record.linked and not record.crm_id]
        total = self._get(len(linked)) + self._get(len(from_crm)) + self._find(len(from_crm))
        total += self._use(StoreVerb.FIND_BY_KEY, len(from_local)) + self._find(len(from_local))
        # A local record may hold a stored remote id, or come back from the dead with a link.
        total += CallEstimate(self._get(len(from_local)).most, 0)
        total += self._overheard()
        for part in (linked, from_crm, from_local):
            total += _writes(self._ctx, self._store, sum(_writes_remote(record) for record in part))
        return total

    def _overheard(self) -> CallEstimate:
        """Opt-outs that neither of two records says are asked for again: what was folded into the CRM's one."""
        rules = [rule for rule in self._ctx.rule.rules if rule.policy is ConflictPolicy.MOST_RESTRICTIVE]
        known = [record for record in self._planned if record.crm_id is not None]
        items = sum(any(map(partial(_opts_out, record), rules)) for record in known)
        if not items:
            return CallEstimate()
        look = _told(self._store, StoreUse(StoreVerb.FIND, items, self._ctx.fields(Side.REMOTE), "Id"))
        return CallEstimate(_STEPS * look.most, 0)

    def _get(self, items: int) -> CallEstimate:
        return self._use(StoreVerb.GET, items)

    def _find(self, items: int) -> CallEstimate:
        """By e-mail: as it is spelled, and folded."""
        name = self._ctx.rule.match.remote_email
        if not name or not items:
            return CallEstimate()
        both = _told(self._store, StoreUse(StoreVerb.FIND, 2 * items, self._ctx.fields(Side.REMOTE), name))
        one = _told(self._store, StoreUse(StoreVerb.FIND, items, self._ctx.fields(Side.REMOTE), name))
        return CallEstimate(both.most, one.likely)

    def _use(self, verb: StoreVerb, items: int) -> CallEstimate:
        if not items:
            return CallEstimate()
        return _told(self._store, StoreUse(verb, items, self._ctx.fields(Side.REMOTE)))


def _opts_out(record: PlannedRecord, rule: FieldRule) -> bool:
    writes = [write.fields for write in record.writes if write.side is Side.LOCAL]
    values = [fields[rule.local] for fields in writes if rule.local in fields]
    return any(rule.sensitive or is_restrictive(rule, Side.LOCAL, rule.normal_local(value)) for value in values)


def _meets_late(ctx: RunContext, record: PlannedRecord) -> bool:
    """Whether its pair is set aside by a merge: it meets somebody new once that is known, after all the others."""
    return not record.linked and record.crm_id is not None and record.markmail_id in ctx.moved


def _writes_remote(record: PlannedRecord) -> int:
    return sum(write.side is Side.REMOTE and write.kind is not OperationKind.DELETE for write in record.writes)


def _deletes_remote(record: PlannedRecord) -> int:
    return sum(write.side is Side.REMOTE and write.kind is OperationKind.DELETE for write in record.writes)


def _writes(ctx: RunContext, store: SupportsCallEstimates, operations: int) -> CallEstimate:
    total, size = CallEstimate(), ctx.remote.limits.write_batch
    for start in range(0, operations, size):
        items = min(size, operations - start)
        total += _told(store, StoreUse(StoreVerb.WRITE, items, tuple(ctx.rule.remote_fields)))
    return total


def _farewells(ctx: RunContext, store: SupportsCallEstimates, planned: Sequence[PlannedRecord]) -> CallEstimate:
    """Pairs of which one side is gone: merged into others, or the survivor is looked at once more, then deleted."""
    linked = [record for record in planned if record.linked]
    if not linked:
        return CallEstimate()
    writes = [write for record in linked for write in record.writes if write.side is Side.REMOTE]
    deletes = sum(write.kind is OperationKind.DELETE for write in writes)
    archives = len(writes) - deletes if ctx.mapping.delete_in_crm is DeletePolicy.ARCHIVE else 0
    # Whoever is gone is looked for among the merged, and its survivor too; found ones are then read.
    look = _told(store, StoreUse(StoreVerb.FIND, len(linked), ctx.fields(Side.REMOTE), "Id"))
    survivors = _told(store, StoreUse(StoreVerb.GET, len(linked), ctx.fields(Side.REMOTE)))
    survivors = CallEstimate(2 * look.most + 2 * survivors.most, survivors.likely)
    likely = survivors.likely if deletes else 0
    written = _writes(ctx, store, deletes)
    return CallEstimate(survivors.most + written.most + _writes(ctx, store, archives).most, likely + written.likely)
