"""Faults of parts of a call: subrequests of Composite, Graph and Batch, and records of sObject Collections.

The call itself succeeds. A subrequest answers with a status and an error body of its own, a record with an error in its
outcome; what follows from that for the other parts (``allOrNone``, ``haltOnError``, references) follows as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from crmsync.testing.salesforce.errors import RowError, default_error

if TYPE_CHECKING:
    from crmsync.testing.salesforce.faults import CallRule

COMPOSITE: Final = "composite"
GRAPH: Final = "graph"
BATCH: Final = "batch"
COLLECTIONS: Final = "collections"
KINDS: Final = (COMPOSITE, GRAPH, BATCH, COLLECTIONS)


@frozen(kw_only=True)
class PartFault:
    """What a part meets instead of its answer. ``after_effect`` lets it act first; records never do."""

    status: int
    code: str
    message: str
    after_effect: bool = False
    within: str | None = None
    method: str | None = None
    path: str | CallRule | None = None

    def is_for(self, within: str, method: str, path: str) -> bool:
        """Whether a part is one of those that the fault waits for."""
        if self.within not in (None, within) or self.method not in (None, method):
            return False
        if within == COLLECTIONS and self.after_effect:
            return False
        if self.path is None:
            return True
        return self.path in path if isinstance(self.path, str) else self.path(method, path)

    @property
    def body(self) -> list[dict[str, str]]:
        """The body of a subrequest's answer."""
        return [{"errorCode": self.code, "message": self.message}]

    @property
    def row_error(self) -> RowError:
        """The error of a record."""
        return RowError(self.code, self.message)


@define
class PartFaults:
    """The faults of parts that wait for theirs."""

    _pending: list[PartFault] = field(factory=list)

    @property
    def waiting(self) -> int:
        """How many have met no part yet."""
        return len(self._pending)

    def clear(self) -> None:
        """Switch them off."""
        self._pending.clear()

    def fail_next(
        self,
        times: int = 1,
        *,
        within: str | None = None,
        status: int = 503,
        code: str | None = None,
        message: str | None = None,
        after_effect: bool = False,
        method: str | None = None,
        path: str | CallRule | None = None,
    ) -> None:
        """Let the next ``times`` matching parts of calls fail.

        :param within: only parts of this kind of call: ``composite``, ``graph``, ``batch`` or ``collections``.
        :param code: and ``message``: by default those that belong to the status.
        :param after_effect: a subrequest first takes effect, and then fails. Where all are undone with it, it is too.
        :param method: only parts of this method; of a record it is that of the collection.
        :param path: only parts whose path contains the text, or for which the function is true. That of a record is
            ``/services/data/vXX.X/sobjects/Contact``, and that of one to be deleted ``.../sobjects/003...``.
        :raises ValueError: there is no such kind of call.
        """
        if within not in (None, *KINDS):
            raise ValueError(f"within is one of {', '.join(KINDS)}")
        usual_code, usual_message = default_error(status)
        fault = PartFault(
            status=status,
            code=code or usual_code,
            message=usual_message if message is None else message,
            after_effect=after_effect,
            within=within,
            method=method,
            path=path,
        )
        self._pending.extend([fault] * times)

    def take(self, within: str, method: str, path: str) -> PartFault | None:
        """Return the first pending fault for this part, which is thereby used up."""
        for place, fault in enumerate(self._pending):
            if fault.is_for(within, method, path):
                return self._pending.pop(place)
        return None
