"""What waits for a person: rejects, and records that could belong to several of the other side."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import attrs

from crmsync.engine import RunLease
from crmsync.errors import ConfigurationError, NotFoundError
from crmsync.models.inbox import Reject, reject_of
from crmsync.models.records import Side
from crmsync.models.runs import RunOptions, RunReport
from crmsync.models.state import Acknowledgement, Link, LinkStatus
from crmsync.protocols.records import RecordStore
from crmsync.service.links import LinkVerbs

_WAITING = (LinkStatus.REJECTED, LinkStatus.QUARANTINED)
_REJECTS = (*_WAITING, LinkStatus.IGNORED)
_LEASE_SECONDS = 60.0


class RejectVerbs(LinkVerbs):
    """The part of `CRMSync` that shows what could not be synced, and what a person does about it."""

    async def rejects(
        self,
        integration_id: str,
        object_name: str,
        *,
        statuses: Sequence[LinkStatus] = _WAITING,
        after: str = "",
        limit: int = 1000,
    ) -> list[Reject]:
        """Records that wait, in order of ``markmail_id``, those after ``after``; ignored ones if ``statuses`` has them.

        :raises ConfigurationError: a status is not one of rejects.
        """
        if not set(statuses) <= set(_REJECTS):
            raise ConfigurationError(f"rejects are {', '.join(_REJECTS)}")
        found = await self.links(integration_id, object_name, statuses=statuses, after=after, limit=limit)
        return [reject_of(link) for link in found]

    async def reject(self, integration_id: str, object_name: str, record_id: str) -> Reject:
        """What is wrong with one record, named by either side's id.

        :raises NotFoundError: nothing is.
        """
        (link,) = await self._rejected(integration_id, object_name, [record_id], _REJECTS)
        return reject_of(link)

    async def retry_rejects(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        record_ids: Sequence[str] | None = None,
        options: RunOptions | None = None,
    ) -> RunReport:
        """Try rejects again now, those of these ids of either side or all but the ignored, and read nothing else.

        The report's status is on these alone: partial if any of them still waits.

        :raises NotFoundError: a record is no reject. :raises ConcurrentUpdateError: a run is at work on this object.
        :raises SyncPausedError: somebody paused the integration's syncs. :raises SafetyStopError: a guard stopped it.
        :raises ProviderError: a side failed as a whole.
        """
        named = None
        if record_ids is not None:
            chosen = await self._rejected(integration_id, object_name, record_ids, _REJECTS)
            named = [link.markmail_id for link in chosen]
        async with self._runner(integration_id, object_name, local, options) as runner:
            return await runner.retry(named)

    async def ignore_rejects(self, integration_id: str, object_name: str, record_ids: Sequence[str]) -> list[Reject]:
        """Leave these rejects, named by either side's id, as they are: they no longer count as waiting.

        They are tried again once the record or the mapping has changed, when `retry_rejects` names them, or after
        `unignore_rejects`.

        :raises NotFoundError: a record is no reject. :raises ConcurrentUpdateError: a run is at work on this object.
        """
        return await self._marked(integration_id, object_name, record_ids, _REJECTS, LinkStatus.IGNORED)

    async def unignore_rejects(self, integration_id: str, object_name: str, record_ids: Sequence[str]) -> list[Reject]:
        """Let the next run try these again.

        :raises NotFoundError: a record is not ignored. :raises ConcurrentUpdateError: a run is at work on this object.
        """
        return await self._marked(integration_id, object_name, record_ids, (LinkStatus.IGNORED,), LinkStatus.REJECTED)

    async def choose_candidate(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        record_id: str,
        candidate_id: str | None,
        options: RunOptions | None = None,
    ) -> RunReport:
        """Link a record that waits for a counterpart to one of its candidates, or with None to a new record.

        ``record_id`` is either side's id, ``candidate_id`` the other side's. The two merge at once as a first meeting.

        :raises NotFoundError: the record does not wait. :raises ConflictError: the candidate is linked to another one.
        :raises ConfigurationError: it is none of the candidates, or the mapping creates no records there.
        :raises RecordError: one of the two is gone. :raises ConcurrentUpdateError: a run is at work on this object.
        """
        (link,) = await self._rejected(integration_id, object_name, [record_id], _REJECTS)
        if candidate_id is None:
            async with self._runner(integration_id, object_name, local, options) as runner:
                return await runner.create_anew(link.markmail_id)
        others = [each.id for each in link.candidates if each.side in (None, link.born.other)]
        if candidate_id not in others:
            its_own = any(each.id == candidate_id for each in link.candidates)
            why = "is of the same side: merge the two there" if its_own else "is none of the candidates"
            msg = f"{candidate_id!r} {why} (of the other side: {', '.join(others) or 'there are none'})"
            raise ConfigurationError(msg)
        if link.born is Side.LOCAL:
            pair = {"markmail_id": link.markmail_id, "crm_id": candidate_id}
        else:
            pair = {"markmail_id": candidate_id, "crm_id": link.crm_id or ""}
        return await self.link(integration_id, object_name, local, options=options, **pair)

    async def _rejected(
        self, integration_id: str, object_name: str, record_ids: Sequence[str], statuses: Sequence[LinkStatus]
    ) -> list[Link]:
        """The links of these records of either side."""
        by_remote = await self.repository.links_by_remote(integration_id, object_name, record_ids)
        by_local = await self.repository.links_by_local(integration_id, object_name, record_ids)
        found = {**by_remote, **by_local}
        for record_id in record_ids:
            if record_id not in found or found[record_id].status not in statuses:
                msg = f"{object_name} {record_id!r} of {integration_id!r} is not {' or '.join(statuses)}"
                raise NotFoundError(msg)
        return list({found[record_id].markmail_id: found[record_id] for record_id in record_ids}.values())

    async def _marked(
        self,
        integration_id: str,
        object_name: str,
        record_ids: Sequence[str],
        statuses: Sequence[LinkStatus],
        status: LinkStatus,
    ) -> list[Reject]:
        """Change the status of links, under the lease, so that no run has them in hand."""
        lease = RunLease(self.repository, integration_id, object_name, self._clock)
        await lease.acquire(f"inbox-{uuid.uuid4().hex}", _LEASE_SECONDS)
        async with lease.kept():
            found = await self._rejected(integration_id, object_name, record_ids, statuses)
            marked = tuple(attrs.evolve(link, status=status) for link in found)
            await self.repository.acknowledge(lease.current, Acknowledgement(links=marked))
        return [reject_of(link) for link in marked]
