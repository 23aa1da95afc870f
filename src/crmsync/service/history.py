"""The history: what runs wrote to a record, and taking a run back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from crmsync.errors import CRMError
from crmsync.models.audit import AuditNote
from crmsync.models.history import RecordChange
from crmsync.models.plans import UndoPreview
from crmsync.models.runs import RunOptions, RunReport
from crmsync.models.state import Link, LinkStatus
from crmsync.protocols.records import RecordStore
from crmsync.service.opening import Opening

_PAGE: Final = 1000


class HistoryVerbs(Opening):
    """The part of `CRMSync` that shows what was written, and takes it back.

    There is a history of objects whose mapping has ``history_days``. It holds record values.
    """

    async def history(
        self,
        integration_id: str,
        object_name: str,
        *,
        run_id: str | None = None,
        record_ids: Sequence[str] = (),
        before_id: int | None = None,
        limit: int = 1000,
    ) -> list[RecordChange]:
        """What was written, newest first: of one run, or to records named by either side's id.

        A record of the CRM comes with its whole past: also what was written of its local record while that was linked
        to one that was folded into it since, and what was written to folded records that had local records of their
        own, through as many merges as there were. ``before_id`` is the ``id`` of the last one of the page before.
        """
        known = await self._local_ids(integration_id, object_name, record_ids)
        folded = await self._folded(integration_id, object_name, {*known, *known.values()})
        ids = list(dict.fromkeys([*record_ids, *known.values(), *sorted(folded)]))
        return await self.repository.list_changes(
            integration_id, object_name, run_id=run_id, record_ids=ids, before_id=before_id, limit=limit
        )

    async def erase_history(self, integration_id: str, object_name: str, record_ids: Sequence[str]) -> int:
        """Forget what was written to records, named by either side's id; how many writes there were.

        What was written to folded records that had local records of their own stays: they may be somebody else's.
        """
        known = await self._local_ids(integration_id, object_name, record_ids)
        ids = list(dict.fromkeys([*record_ids, *known.values()]))
        pen = await self._audit.pen()

        def told(count: int) -> AuditNote | None:
            # Without the records' ids: of who was erased nothing is to be left.
            return pen.note("history.erased", integration_id, entity_type=object_name, count=count) if count else None

        return await self.repository.audited(told).erase_changes(integration_id, object_name, ids)

    async def preview_undo(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        run_id: str,
        options: RunOptions | None = None,
    ) -> UndoPreview:
        """What `undo` would write. Writes nothing.

        :raises NotFoundError: no history of such a run is kept.
        """
        async with self._runner(integration_id, object_name, local, options, writes=False) as runner:
            return await runner.preview_undo(run_id)

    async def undo(
        self,
        integration_id: str,
        object_name: str,
        local: RecordStore,
        *,
        run_id: str,
        options: RunOptions | None = None,
    ) -> RunReport:
        """Take back what a run wrote on both sides, field by field, as far as nobody changed it since.

        What it overwrote is written again, what it created is deleted, what it deleted is created anew. The next sync
        does not repeat the run: both sides stay as the undo left them until someone changes them. The report's
        problems are what could not be taken back.

        :raises NotFoundError: no history of such a run is kept.
        :raises DeleteGuardError: the run created more records than one run may delete; see ``allow_deletes``.
        """
        about: dict[str, Any] = {"entity_type": object_name, "run_id": run_id}
        async with self._runner(integration_id, object_name, local, options) as runner:
            await self._audit.write("undo", integration_id, result="begun", **about)
            try:
                report = await runner.undo(run_id)
            except CRMError as error:
                await self._audit.write("undo", integration_id, result="failed", error=type(error).__name__, **about)
                raise
            await self._audit.write("undo", integration_id, **about, written=report.written)
            return report

    async def _local_ids(self, integration_id: str, object_name: str, crm_ids: Sequence[str]) -> dict[str, str]:
        """The local records that those of the CRM among these are linked to, by the CRM's id."""
        links = await self.repository.links_by_remote(integration_id, object_name, crm_ids)
        return {crm_id: link.markmail_id for crm_id, link in links.items()}

    async def _folded(self, integration_id: str, object_name: str, ids: Collection[str]) -> set[str]:
        """Both ids of the pairs whose records were folded into these, which had local records already.

        And of those that had been folded into such a one before. All links are looked through until none is new.
        """
        found: set[str] = set()
        new = set(ids)
        while new:
            known = {*ids, *found}
            found |= await self._folded_into(integration_id, object_name, new)
            new = found - known
        return found

    async def _folded_into(self, integration_id: str, object_name: str, ids: Collection[str]) -> set[str]:
        found: set[str] = set()
        after = ""
        while links := await self._separated(integration_id, object_name, after):
            after = links[-1].markmail_id
            theirs = [link for link in links if any(one.id in ids for one in link.candidates)]
            found.update(each for link in theirs for each in (link.markmail_id, link.crm_id) if each is not None)
        return found

    async def _separated(self, integration_id: str, object_name: str, after: str) -> list[Link]:
        return await self.repository.scan_links(
            integration_id, object_name, statuses=(LinkStatus.UNLINKED,), after=after, limit=_PAGE
        )
