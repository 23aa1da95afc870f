"""Stopped runs, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from crmsync.errors import NotFoundError
from crmsync.storage import admission

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord

_PAGE: Final = 1000


@attrs.define(slots=True)
class StopState:
    """The stop of one object with its plan's records."""

    stop: Stop
    records: tuple[StoppedRecord, ...] = ()


class MemoryStops:
    """The `StopRepository` part of a repository in memory."""

    def _stops(self, integration_id: str) -> dict[str, StopState]:
        """The stops of an integration by object.

        :raises NotFoundError: there is no such integration.
        """
        raise NotImplementedError

    async def note_stop(self, stop: Stop) -> None:
        """See `StopRepository`."""
        stops = self._stops(stop.integration_id)
        known = stops.get(stop.entity_type)
        said = attrs.evolve(
            stop, stopped_at=admission.as_utc(stop.stopped_at), plan=None, approved_by=None, approved_at=None
        )
        if known is None:
            stops[stop.entity_type] = StopState(attrs.evolve(said, times=1))
            return
        old = known.stop
        known.stop = attrs.evolve(
            said, times=old.times + 1, plan=old.plan, approved_by=old.approved_by, approved_at=old.approved_at
        )

    async def list_stops(self, integration_id: str, entity_type: str | None = None) -> list[Stop]:
        """See `StopRepository`."""
        try:
            stops = self._stops(integration_id)
        except NotFoundError:
            return []
        return [stops[name].stop for name in sorted(stops) if entity_type in (None, name)]

    async def save_stopped_plan(
        self, integration_id: str, entity_type: str, plan: StoppedPlan, records: Sequence[StoppedRecord]
    ) -> None:
        """See `StopRepository`."""
        state = self._stops(integration_id).get(entity_type)
        if state is None:
            raise NotFoundError(admission.no_stop(integration_id, entity_type))
        settled = attrs.evolve(plan, made_at=admission.as_utc(plan.made_at))
        state.stop = attrs.evolve(state.stop, plan=settled, approved_by=None, approved_at=None)
        state.records = tuple(records)

    async def stopped_records(self, integration_id: str, entity_type: str, page: int) -> list[StoppedRecord]:
        """See `StopRepository`."""
        try:
            state = self._stops(integration_id).get(entity_type)
        except NotFoundError:
            return []
        return list(state.records[page * _PAGE : (page + 1) * _PAGE]) if state else []

    async def approve_stop(self, integration_id: str, entity_type: str, digest: str, *, by: str, now: datetime) -> Stop:
        """See `StopRepository`."""
        state = self._stops(integration_id).get(entity_type)
        if state is None or state.stop.plan is None or state.stop.plan.digest != digest:
            raise NotFoundError(admission.no_stop(integration_id, entity_type, digest))
        state.stop = attrs.evolve(state.stop, approved_by=by, approved_at=admission.as_utc(now))
        return state.stop

    async def remove_stop(self, integration_id: str, entity_type: str) -> None:
        """See `StopRepository`."""
        try:
            self._stops(integration_id).pop(entity_type, None)
        except NotFoundError:
            return
