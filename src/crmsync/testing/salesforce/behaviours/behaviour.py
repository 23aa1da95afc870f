"""What an object does when its records are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from crmsync.testing.salesforce.store import Row, Table
    from crmsync.testing.salesforce.writing import Writer


@frozen(kw_only=True)
class Save:
    """One save of a record. ``before`` is ``None`` for a new one; ``changed`` holds the values that were given.

    ``row`` is the record with them, and may be added to until it is put. A delete is a save with ``IsDeleted``.
    ``as_system`` tells that the org does it by itself.
    """

    table: Table
    before: Row | None
    row: Row
    changed: Mapping[str, Any]
    now: datetime
    by: str
    as_system: bool = False


class Behaviour:
    """The steps of a save at which an object may do more. By itself it does nothing."""

    def complete(self, writer: Writer, save: Save) -> None:
        """Fill in what follows from the values that were given, before the record is checked.

        :raises RowError: the record is refused.
        """

    def saved(self, writer: Writer, save: Save) -> None:
        """Let other records follow, in the same transaction; also after a delete and an undelete.

        :raises RowError: everything is undone.
        """

    def deleting(self, writer: Writer, row: Row) -> None:
        """Refuse to delete a record.

        :raises RowError: it stays.
        """
