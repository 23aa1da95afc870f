"""Locks on rows, which a save meets as UNABLE_TO_LOCK_ROW.

Salesforce locks a record while it is saved, and with it the records it belongs to: an account while its contacts are.
Other calls wait for up to ten seconds and then fail; here they fail at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from attrs import define, field

from crmsync.testing.salesforce.errors import RowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from crmsync.testing.salesforce.clock import Clock
    from crmsync.testing.salesforce.store import Row, Table

#: The call that is being answered.
_CALL: Final[ContextVar[object | None]] = ContextVar("call", default=None)


@define
class Locks:
    """The locked records of an org, by id: until when, and by which call in flight."""

    clock: Clock
    #: Whether calls in flight at the same time clash over the records that their rows belong to. Off by default.
    contention: bool = False
    _until: dict[str, datetime] = field(factory=dict)
    _held: dict[str, object] = field(factory=dict)

    def clear(self) -> None:
        """Free every record, and end contention."""
        self.contention = False
        self._until.clear()
        self._held.clear()

    def hold(self, ids: Iterable[str], seconds: float) -> None:
        """Lock records, and those that belong to them, for some time of the org's clock."""
        until = self.clock.now() + timedelta(seconds=seconds)
        self._until.update(dict.fromkeys(ids, until))

    @contextmanager
    def call(self) -> Iterator[None]:
        """Let what is saved in the block lock its parents until the end of the block."""
        call = object()
        token = _CALL.set(call)
        try:
            yield
        finally:
            _CALL.reset(token)
            for key in [key for key, holder in self._held.items() if holder is call]:
                del self._held[key]

    def take(self, table: Table, row: Row, before: Row | None) -> None:
        """Lock what a save needs.

        :raises RowError: UNABLE_TO_LOCK_ROW, naming the record that another holds.
        """
        if not self._until and not self.contention:
            return
        needed = _parents(table, row) | (set() if before is None else _parents(table, before))
        self._require_free({row["Id"], *needed})
        call = _CALL.get()
        if self.contention and call is not None:
            for key in needed:
                if self._held.setdefault(key, call) is not call:
                    raise _locked(key)

    def _require_free(self, ids: Iterable[str]) -> None:
        now = self.clock.now()
        for key in ids:
            until = self._until.get(key)
            if until is not None and until > now:
                raise _locked(key)


def _parents(table: Table, row: Mapping[str, str]) -> set[str]:
    fields = table.definition.fields
    return {row[name] for name in table.definition.references if name in row and fields[name].children}


def _locked(record_id: str) -> RowError:
    message = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
    return RowError("UNABLE_TO_LOCK_ROW", message)
