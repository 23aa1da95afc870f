"""What became of the rows of one bulk job, as its files of results tell.

Results come in any order and are matched by our key column: the external key of an upsert, the id of an update or a
delete.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from crmsync.errors import SchemaChangedError, UnavailableError, UnexpectedResponseError
from crmsync.providers.salesforce.bulk import jobs as bulk_jobs
from crmsync.providers.salesforce.bulk.jobs import JobInfo, Jobs
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.writing.outcomes import Sent, failed, refused, saved
from crmsync.providers.salesforce.writing.rows import Row, Verb

_Take: TypeAlias = Callable[[Row, Sequence[str]], None]

_OWN: Final = ("sf__Id", "sf__Created", "sf__Error")
"""The columns that Salesforce adds; those that a file does not have are empty."""


class JobResults:
    """Answers the rows of a job in ``sent``; ``key`` is the column they are told by."""

    def __init__(self, jobs: Jobs, verb: Verb, key: str, rows: Sequence[Row], sent: Sent) -> None:
        self._jobs = jobs
        self._keyed = verb is Verb.UPSERT
        self._columns = (key, *_OWN)
        self._rows = len(rows)
        self._sent = sent
        self._waiting = {row.target: row for row in rows}
        self._files: dict[str, _Take] = {
            bulk_jobs.SUCCESSFUL: self._succeeded,
            bulk_jobs.FAILED: self._refused,
            bulk_jobs.UNPROCESSED: self._skipped,
        }

    async def all_succeeded(self, job_id: str) -> bool:
        """Read the successes of a job that should be over; whether nothing is left to learn.

        A job that is not over has no such file yet, or not all of it: what is read twice does no harm.
        """
        try:
            await self._read(job_id, bulk_jobs.SUCCESSFUL)
        except (SchemaChangedError, UnexpectedResponseError):
            return False
        return not self._waiting

    async def collect(self, info: JobInfo) -> None:
        """Read what became of each row, file by file until nothing is left to learn.

        Those that hold nothing new by the job's own counts come last, to be asked only where the counts are wrong.
        """
        settled = self._settled(info)
        for name in sorted(self._files, key=settled.__contains__):
            if self._waiting:
                await self._read(info.id, name)

    def _settled(self, info: JobInfo) -> set[str]:
        """The files of results that hold nothing new, by a job's own counts.

        They prove something only of a job that came to every row: where a whole batch fails on the server they are not
        brought up to date (forcedotcom/dataloader, pull request 1033).
        """
        if info.state != bulk_jobs.JOB_COMPLETE or info.processed != self._rows:
            return set()
        settled = {bulk_jobs.UNPROCESSED}
        if info.failed == 0:
            settled.add(bulk_jobs.FAILED)
        elif info.failed == len(self._waiting):
            settled.add(bulk_jobs.SUCCESSFUL)
        return settled

    async def _read(self, job_id: str, name: str) -> None:
        answer, waiting, keyed = self._files[name], self._waiting, self._keyed

        def take(rows: Sequence[Sequence[str]]) -> None:
            for cells in rows:
                target = f"key {cells[0]}" if keyed else full_id(cells[0] or cells[1]) or ""
                row = waiting.pop(target, None)
                if row is not None:
                    answer(row, cells)

        await self._jobs.results(job_id, name, self._columns, take)

    def _succeeded(self, row: Row, cells: Sequence[str]) -> None:
        self._sent.answer(row, saved(row, cells[1], created=cells[2] == "true"))

    def _refused(self, row: Row, cells: Sequence[str]) -> None:
        self._sent.answer(row, refused(row, [parse_error(cells[3])]))

    def _skipped(self, row: Row, _: Sequence[str]) -> None:
        self._sent.answer(row, failed(row, UnavailableError("the bulk job ended before it came to the record")))


def parse_error(text: str) -> dict[str, object]:
    """``CODE:message:field1,field2 --`` in the shape of sObject Collections; the fields may be missing."""
    code, _, rest = text.partition(":")
    message, _, names = rest.rpartition(":")
    fields = [name.strip() for name in names.removesuffix("--").split(",") if name.strip()]
    return {"statusCode": code.strip(), "message": message or rest, "fields": fields}
