"""The history: what runs wrote to a record, and taking a run back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crmsync.errors import CRMError
from crmsync.models.audit import AuditNote
from crmsync.models.history import RecordChange
from crmsync.models.plans import UndoPreview
from crmsync.models.runs import RunOptions, RunReport
from crmsync.protocols.records import RecordStore
from crmsync.service.opening import Opening


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

        ``before_id`` is the ``id`` of the last one of the page before.
        """
        return await self.repository.list_changes(
            integration_id, object_name, run_id=run_id, record_ids=record_ids, before_id=before_id, limit=limit
        )

    async def erase_history(self, integration_id: str, object_name: str, record_ids: Sequence[str]) -> int:
        """Forget what was written to records, named by either side's id; how many writes there were."""
        pen = await self._audit.pen()

        def told(count: int) -> AuditNote | None:
            # Without the records' ids: of who was erased nothing is to be left.
            return pen.note("history.erased", integration_id, entity_type=object_name, count=count) if count else None

        return await self.repository.audited(told).erase_changes(integration_id, object_name, record_ids)

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
