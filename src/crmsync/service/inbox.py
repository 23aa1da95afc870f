"""What waits for a person: conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from crmsync.errors import ConfigurationError, NotFoundError
from crmsync.models.audit import AuditNote
from crmsync.models.inbox import ConflictRule, RuleOutcome
from crmsync.models.records import Side
from crmsync.models.state import Conflict, ConflictSelection, ConflictStatus, Decision
from crmsync.security.audit import Pen, together
from crmsync.service.opening import Opening

_EVERY = 1_000_000
_NOTED = 500
"""Decisions that one entry of the audit log names."""


class InboxVerbs(Opening):
    """The part of `CRMSync` that shows what waits for a person, and takes decisions."""

    async def conflicts(
        self,
        integration_id: str,
        object_name: str | None = None,
        *,
        statuses: Sequence[ConflictStatus] = (ConflictStatus.OPEN,),
        limit: int = 1000,
    ) -> list[Conflict]:
        """Conflicts of these statuses, oldest first."""
        return await self.repository.list_conflicts(integration_id, object_name, statuses=statuses, limit=limit)

    async def conflict(self, integration_id: str, conflict_id: str) -> Conflict:
        """:raises NotFoundError: there is none."""
        return await self.repository.get_conflict(integration_id, conflict_id)

    async def resolve_conflict(
        self, integration_id: str, conflict_id: str, winner: Side | None = None, *, value: Any = None, by: str = ""
    ) -> Conflict:
        """Decide a conflict; the next run writes the winner's value to the other side.

        With ``winner`` None it writes ``value`` to both: JSON-able, in the form that the local side has (text does,
        also for a date or a number), None for a blank. ``by`` names who decided, for the record.

        :raises NotFoundError: there is none, or it is resolved already.
        :raises StorageError: the value has no JSON form.
        :raises ConfigurationError: a value is given for a sensitive field: it would have to be kept until the next run.
        """
        if winner is None and value is not None:
            await self._refuse_sensitive(integration_id, conflict_id)
        decision = Decision(winner, value, by)
        decided = await self._decide(integration_id, {conflict_id: decision}, by)
        if not decided:
            msg = f"there is no conflict {conflict_id!r} in integration {integration_id!r} that waits for a decision"
            raise NotFoundError(msg)
        return decided[0]

    async def _refuse_sensitive(self, integration_id: str, conflict_id: str) -> None:
        conflict = await self.repository.get_conflict(integration_id, conflict_id)
        mapping = (await self.repository.get_integration(integration_id)).field_mappings.get(conflict.entity_type)
        fields = mapping.fields if mapping else ()
        if any(field.sensitive and field.markmail_field == conflict.field for field in fields):
            msg = f"{conflict.field} is sensitive: choose a side, or correct the value there; none is kept here"
            raise ConfigurationError(msg)

    async def resolve_conflicts(
        self, integration_id: str, rule: ConflictRule, *, by: str = "", dry_run: bool = False
    ) -> RuleOutcome:
        """Decide all open conflicts that a rule applies to, all or none. A dry run tells which, and decides nothing."""
        now = self._clock.now()
        waiting = await self.conflicts(integration_id, rule.object_name, limit=_EVERY)
        met = [(one, rule.winner_of(one)) for one in waiting if rule.applies_to(one, now)]
        left = tuple(one for one, winner in met if winner is None)
        if dry_run:
            told: dict[str, Any] = {"status": ConflictStatus.DECIDED, "decided_by": by, "decided_at": now}
            return RuleOutcome(tuple(attrs.evolve(one, winner=winner, **told) for one, winner in met if winner), left)
        decisions = {one.id: Decision(winner, by=by) for one, winner in met if winner}
        return RuleOutcome(tuple(await self._decide(integration_id, decisions, by)), left)

    async def _decide(self, integration_id: str, decisions: Mapping[str, Decision], by: str) -> list[Conflict]:
        pen = await self._audit.pen()

        def told(decided: Sequence[Conflict]) -> AuditNote | None:
            return together(*(_decision_note(pen, decided[n : n + _NOTED], by) for n in range(0, len(decided), _NOTED)))

        audited = self.repository.audited(told)
        return await audited.decide_conflicts(integration_id, decisions, now=self._clock.now())

    async def erase_conflict_values(
        self,
        integration_id: str,
        *,
        conflict_ids: Sequence[str] | None = None,
        record_ids: Sequence[str] | None = None,
        settled: bool = False,
    ) -> int:
        """Blank the values of conflicts at once: those that meet every condition given. Returns how many had values.

        ``record_ids`` are local ids; ``settled`` leaves out what waits. The rows stay. An erased conflict can still be
        decided; the run that writes the decision, or sees the record changed before, stores both values again. A
        decision for a value that someone gave is taken back.

        :raises ConfigurationError: no condition is given.
        """
        if conflict_ids is None and record_ids is None and not settled:
            raise ConfigurationError("say which conflicts: by their ids, by their records, or the settled ones")
        now = self._clock.now()
        selection = ConflictSelection(
            ids=None if conflict_ids is None else tuple(conflict_ids),
            markmail_ids=None if record_ids is None else tuple(record_ids),
            settled_until=now if settled else None,
        )
        pen = await self._audit.pen()

        def told(count: int) -> AuditNote | None:
            return pen.note("conflicts.erased", integration_id, count=count, settled=settled) if count else None

        return await self.repository.audited(told).erase_conflict_values(integration_id, selection, now=now)


def _decision_note(pen: Pen, decided: Sequence[Conflict], by: str) -> AuditNote:
    """Which conflicts were decided, in whose favour, of which fields; not which values."""
    winners = Counter(one.winner.value if one.winner else "a given value" for one in decided)
    return pen.note(
        "conflicts.decided",
        decided[0].integration_id,
        conflicts=[one.id for one in decided],
        fields=sorted({f"{one.entity_type}.{one.crm_field}" for one in decided}),
        winners=dict(winners),
        by=by or None,
    )
