"""Trouble for bulk jobs on demand: slow, failing and aborted jobs, and chunks of rows that cannot be locked."""

from __future__ import annotations

from attrs import define, field, frozen

FAILED_MESSAGE = "InternalServerError : Job failed due to an internal error"


@frozen(kw_only=True)
class BulkFault:
    """What one job runs into. ``stop_after`` is the number of records done when it ends as ``stop_state``.

    With ``miscounts`` the job says of none of its records that it failed.
    """

    seconds: float = 0.0
    stop_after: int | None = None
    stop_state: str = "Failed"
    message: str | None = None
    miscounts: bool = False


@define
class BulkFaults:
    """The faults that wait for the jobs of an org. Each of the ``…_next`` is for the next job that is closed."""

    _pending: list[BulkFault] = field(factory=list)
    _locked_chunks: int = 0

    def clear(self) -> None:
        """Switch every fault off. Jobs that already met one keep it."""
        self._pending.clear()
        self._locked_chunks = 0

    def slow_next(self, seconds: float, *, times: int = 1) -> None:
        """Let the next jobs take so many seconds longer."""
        self._pending.extend([BulkFault(seconds=seconds)] * times)

    def fail_next(self, *, after_records: int = 0, message: str = FAILED_MESSAGE, times: int = 1) -> None:
        """Let the next jobs fail once ``after_records`` are done, to the chunk of 200: the rest stays unprocessed."""
        self._pending.extend([BulkFault(stop_after=after_records, message=message)] * times)

    def abort_next(self, *, after_records: int = 0, times: int = 1) -> None:
        """Let an administrator abort the next jobs once ``after_records`` are done, to the chunk of 200."""
        self._pending.extend([BulkFault(stop_after=after_records, stop_state="Aborted")] * times)

    def miscount_next(self, *, times: int = 1) -> None:
        """Let the next jobs count no failed records, as when a whole batch fails: only their results tell."""
        self._pending.extend([BulkFault(miscounts=True)] * times)

    def lock_chunks(self, times: int = 1) -> None:
        """Refuse every row of the next ``times`` chunks of 200 with UNABLE_TO_LOCK_ROW."""
        self._locked_chunks += times

    def take(self) -> BulkFault | None:
        """Return the first waiting fault, which is thereby used up."""
        return self._pending.pop(0) if self._pending else None

    def take_lock(self) -> bool:
        """Whether the chunk at hand cannot be locked."""
        if not self._locked_chunks:
            return False
        self._locked_chunks -= 1
        return True
