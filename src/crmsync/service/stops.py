"""Stopped runs: look at what they would have done, approve exactly that, or forget it."""

from __future__ import annotations

from typing import Final

from crmsync.errors import ConfigurationError, NotFoundError, StaleRecordError
from crmsync.models.audit import AuditNote
from crmsync.models.runs import RunOptions
from crmsync.models.stops import Stop, StoppedPlan, StoppedRecord
from crmsync.protocols.records import RecordStore
from crmsync.service.opening import Opening

_SHORTEST_DIGEST: Final = 8


class StopVerbs(Opening):
    """The part of `CRMSync` that deals with runs which a guard has stopped."""

    async def stops(self, integration_id: str, object_name: str | None = None) -> list[Stop]:
        """The stops that nothing was done about yet, one for each object at most.

        A plan that `stopped_plan` was asked for is there, digest included: show the two to people together only, since
        whoever knows the digest can approve the plan.
        """
        return await self.repository.list_stops(integration_id, object_name)

    async def stopped_plan(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        anew: bool = False,
        options: RunOptions | None = None,
    ) -> Stop:
        """The stop with what the run would have done. Writes nothing on either side.

        The first time, and with ``anew``, it is found out by a dry run and stored, without any record's value; an
        approval of an earlier one is then void.

        :raises NotFoundError: no run of this object is stopped. :raises ProviderError: a side failed as a whole.
        """
        stop = await self._stop(integration_id, object_name)
        if stop.plan is not None and not anew:
            return stop
        async with self._runner(integration_id, object_name, local, options, writes=False) as runner:
            plan = await runner.plan()
        records = [StoppedRecord.of(record) for record in plan.records]
        await self.repository.save_stopped_plan(integration_id, object_name, StoppedPlan.of(plan), records)
        return await self._stop(integration_id, object_name)

    async def stopped_records(
        self, integration_id: str, object_name: str, *, limit: int | None = None
    ) -> list[StoppedRecord]:
        """What would have happened to each record, in the plan's order; empty before `stopped_plan` was asked."""
        found: list[StoppedRecord] = []
        page = 0
        while limit is None or len(found) < limit:
            records = await self.repository.stopped_records(integration_id, object_name, page)
            if not records:
                break
            found += records
            page += 1
        return found[:limit]

    async def approve_stop(self, integration_id: str, object_name: str, digest: str, *, by: str) -> Stop:
        """Let the next `sync` carry out exactly the plan with this digest, past the guards, before it goes on.

        ``digest`` may be cut to 8 characters or more. Records that changed since the plan was made are decided anew,
        under the guards. ``by`` says who wants it; it is kept, with the time, here and in the run's log.

        :raises NotFoundError: no run of this object is stopped, or nobody has looked at its plan.
        :raises StaleRecordError: the plan is another one by now. :raises ConfigurationError: the digest is cut shorter.
        """
        stop = await self._stop(integration_id, object_name)
        if stop.plan is None:
            msg = f"nobody has looked at what the stopped run of {object_name!r} would do; do that first"
            raise NotFoundError(msg)
        if len(digest) < _SHORTEST_DIGEST:
            raise ConfigurationError(f"give at least {_SHORTEST_DIGEST} characters of the digest")
        if not stop.plan.digest.startswith(digest.lower()):
            # Which digest is right is for who looks at the plan: approving it takes no more than knowing that.
            msg = f"the stopped plan of {object_name!r} has another digest: look at it again, and approve what you see"
            raise StaleRecordError(msg)
        now = self._clock.now()
        whole = stop.plan.digest
        pen = await self._audit.pen()

        def told(approved: Stop) -> AuditNote:
            about = {"entity_type": object_name, "run_id": approved.run_id, "digest": whole, "by": by}
            return pen.note("stop.approved", integration_id, **about)

        return await self.repository.audited(told).approve_stop(integration_id, object_name, whole, by=by, now=now)

    async def drop_stop(self, integration_id: str, object_name: str) -> Stop:
        """Forget a stop with its plan and approval; what it was. Nothing else changes: the next run stops again if
        what it would do is still too much.

        :raises NotFoundError: no run of this object is stopped.
        """
        stop = await self._stop(integration_id, object_name)
        pen = await self._audit.pen()
        note = pen.note("stop.dropped", integration_id, entity_type=object_name, run_id=stop.run_id)
        await self.repository.audited(lambda _: note).remove_stop(integration_id, object_name)
        return stop

    async def _stop(self, integration_id: str, object_name: str) -> Stop:
        found = await self.repository.list_stops(integration_id, object_name)
        if not found:
            msg = f"no run of {object_name!r} of integration {integration_id!r} is stopped"
            raise NotFoundError(msg)
        return found[0]
