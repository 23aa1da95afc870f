"""What a running engine lends to the parts it drives: time, calls, the right to write, the log of remote jobs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    # Models take long to make, and nobody needs all of them.
    from crmsync.models.consents import ConsentChange
    from crmsync.models.state import RemoteJob


class Clock(Protocol):
    """The time. Tests bring their own."""

    def now(self) -> datetime:
        """The present as aware UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait. A fake clock returns at once and moves its time."""
        ...


class CallBudget(Protocol):
    """How many API calls may still be made. Whoever makes a call spends it first."""

    @property
    def used(self) -> int:
        """Calls spent so far in this run."""
        ...

    @property
    def left(self) -> int | None:
        """Calls that may still be made, as far as is known without asking; None: no limit is in sight."""
        ...

    async def spend(self, calls: int = 1) -> None:
        """Take calls from the budget; a budget that processes share may wait for its storage.

        :raises BudgetExceededError: when they are not there; nothing is taken and the call must not be made.
        """
        ...

    def observe(self, used: int, limit: int) -> None:
        """Note what the CRM says of its own allowance (calls used and allowed in its window)."""
        ...


class WritePermit(Protocol):
    """The right to write to the CRM. A run loses it when its process stands still and another one takes over."""

    async def confirm(self) -> None:
        """Ask right before each call; it answers at once while the run's lease has time left.

        :raises LeaseLostError: another process took over; the call must not be made.
        :raises StorageError: nobody can tell; the call must not be made.
        """
        ...


class Turns(Protocol):
    """Turns among tasks and processes: what looks and then makes must be alone."""

    def exclusive(self, name: str, *, org: str = "") -> AbstractAsyncContextManager[None]:
        """Wait until nobody else is in here under this name, and keep them out.

        ``org`` is what names the CRM's org, the same for whoever works with it and for no other one, its provider
        included: then the turn is for all integrations of the bookkeeping that name it, else for those who work for one
        integration. Turns of different names may be held together if everybody takes them in the same order.

        A process that dies within gives way by itself, after some seconds. It is not reentrant.

        :raises StorageError: nobody can tell who is within.
        """
        ...


class ConsentLog(Protocol):
    """Where changes of people's consent are written down."""

    async def note(self, changes: Sequence[ConsentChange]) -> None:
        """Write down what a run changed.

        :raises StorageError: it cannot be stored; the run ends then.
        """
        ...


class JobLog(Protocol):
    """The jobs at the CRM that are not known to be over, of one object of one integration; it outlives the process."""

    async def add(self, job: RemoteJob) -> None:
        """Note a job before it is given anything to do."""
        ...

    async def remove(self, job_id: str) -> None:
        """Forget a job that is over; does nothing if it is not noted."""
        ...

    async def unfinished(self) -> Sequence[RemoteJob]:
        """The jobs that were added and not removed, in that order."""
        ...

    def progressed(self, job: RemoteJob, processed: int) -> None:
        """Tell whoever watches how many of a job's records are done."""
        ...
