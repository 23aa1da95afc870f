"""The emulated org: its objects, records, users and counters, and every change that can happen to a record."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from crmsync.testing.salesforce import saving
from crmsync.testing.salesforce.cursors import Cursors
from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.faults import Faults
from crmsync.testing.salesforce.ids import canonical_id, make_id
from crmsync.testing.salesforce.rendering import render
from crmsync.testing.salesforce.schema import FieldDef, org_objects
from crmsync.testing.salesforce.seeding import API_USER_ID, OTHER_USER_ID, seed_system_records
from crmsync.testing.salesforce.store import DELETED_DATE, Row, Saved, Table
from crmsync.testing.salesforce.times import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ORG_ID: Final = make_id("00D", 1)
#: Replication feeds reach back to an org's birth, so a new emulator's org is not newborn.
ORG_AGE: Final = timedelta(days=365)
DEFAULT_TOKEN: Final = f"{ORG_ID}!emulator.access.token"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@frozen(kw_only=True)
class OAuthClient:
    """The values that ``/services/oauth2/token`` accepts."""

    client_id: str = "emulator-client"
    client_secret: str = field(default="emulator-secret", repr=False)
    refresh_token: str = field(default="emulator-refresh-token", repr=False)


@frozen
class Upserted:
    """The outcome of an upsert."""

    id: str
    created: bool


class MultipleMatchesError(Exception):
    """An upsert's external id fits several records; ``ids`` are theirs."""

    def __init__(self, ids: tuple[str, ...]) -> None:
        super().__init__(ids)
        self.ids = ids


class SalesforceOrg:
    """An org in memory.

    It is safe to use from several threads: hold ``lock`` over any sequence that must not be interleaved. Changes made
    through its methods are those of the user ``by``, by default another user than the API's, as if edited in the
    browser.

    :param external_id_field: whether Contact and Lead have ``MarkMail_Id__c`` (text 64, external id, unique,
        case-sensitive).
    :param hide_opt_out: whether field-level security hides ``HasOptedOutOfEmail``.
    :param daily_limit: API calls a day; further ones get 403 REQUEST_LIMIT_EXCEEDED.
    :param clock: returns aware datetimes; real time by default. :meth:`advance` adds to it.
    :param access_token: the API user's token.
    :param user_id: the API user's id.
    :param users: further users' ids by their tokens.
    :param custom_fields: further fields by object.
    :param max_version: the newest API version offered.
    """

    def __init__(
        self,
        *,
        external_id_field: bool = True,
        hide_opt_out: bool = False,
        daily_limit: int = 100_000,
        clock: Callable[[], datetime] = _utc_now,
        access_token: str = DEFAULT_TOKEN,
        user_id: str = API_USER_ID,
        users: Mapping[str, str] | None = None,
        custom_fields: Mapping[str, Iterable[FieldDef]] | None = None,
        max_version: int = 68,
    ) -> None:
        self.lock = threading.RLock()
        self.org_id = ORG_ID
        self.access_token = access_token
        self.user_id = user_id
        self.daily_limit = daily_limit
        self.max_version = max_version
        self.oauth = OAuthClient()
        self.tokens: dict[str, str] = {access_token: user_id, **(users or {})}
        self.faults = Faults()
        self.cursors = Cursors()
        self.state_file: Path | None = None
        self.calls: Counter[str] = Counter()
        self.api_calls = 0
        self._clock = clock
        self._offset = timedelta()
        self._triggers: dict[str, dict[str, saving.Trigger]] = {}
        self._undo: list[tuple[Table, str, Saved]] | None = None
        self.tables = {
            name: Table(definition)
            for name, definition in org_objects(
                custom_fields or {}, external_id_field=external_id_field, hide_opt_out=hide_opt_out
            ).items()
        }
        self.started = self.now()
        self.created = self.started - ORG_AGE
        self.delete_log_start: dict[str, datetime] = {}
        seed_system_records(self)

    # Time

    def now(self) -> datetime:
        """Return the org's time: aware, UTC."""
        return self._clock().astimezone(UTC) + self._offset

    def advance(self, seconds: float) -> None:
        """Set the org's clock forward."""
        self._offset += timedelta(seconds=seconds)

    # Changes

    def create(self, object_name: str, values: Mapping[str, Any], *, by: str = OTHER_USER_ID) -> str:
        """Create a record and return its id.

        :raises RowError: as Salesforce would refuse it.
        """
        with self.lock:
            table = self.table(object_name)
            changed = saving.changes(
                table.definition, values, self._triggers.get(table.definition.name, {}), creating=True
            )
            changed = {name: value for name, value in changed.items() if value is not None}
            now = self.now()
            row = saving.applied({**saving.defaults(table.definition), **self._birth(table, now, by)}, changed)
            self._save(table, row, changed, now, creating=True)
            return str(row["Id"])

    def update(self, object_name: str, record_id: str, values: Mapping[str, Any], *, by: str = OTHER_USER_ID) -> None:
        """Change a record. Even a change to the same values moves SystemModstamp, as in Salesforce.

        :raises RowError: as Salesforce would refuse it; ENTITY_IS_DELETED or INVALID_CROSS_REFERENCE_KEY for the id.
        """
        with self.lock:
            table = self.table(object_name)
            row = self._existing(table, record_id)
            changed = saving.changes(
                table.definition, values, self._triggers.get(table.definition.name, {}), creating=False
            )
            now = self.now()
            self._save(table, saving.applied({**row, **saving.touch(now, by)}, changed), changed, now, creating=False)

    def delete(self, object_name: str, record_id: str, *, by: str = OTHER_USER_ID) -> None:
        """Move a record to the recycle bin.

        :raises RowError: the id is unknown or already there.
        """
        with self.lock:
            table = self.table(object_name)
            row = self._existing(table, record_id)
            now = self.now()
            if refusal := self.faults.refusal(table.definition.name, {**row, "IsDeleted": True}):
                raise refusal
            self._put(table, {**row, **saving.touch(now, by), "IsDeleted": True, DELETED_DATE: stamp(now)}, now)

    def undelete(self, object_name: str, record_id: str, *, by: str = OTHER_USER_ID) -> None:
        """Bring a record back from the recycle bin.

        :raises RowError: the id is not in the bin, or its unique value has a new holder.
        """
        with self.lock:
            table = self.table(object_name)
            row = table.newest(canonical_id(record_id) or record_id)
            if row is None or not row["IsDeleted"]:
                raise RowError("UNDELETE_FAILED", "Entity is not in the recycle bin")
            now = self.now()
            revived = {**row, **saving.touch(now, by), "IsDeleted": False}
            revived.pop(DELETED_DATE)
            revived.pop("MasterRecordId", None)
            saving.require_unique(table, revived, revived)
            self._put(table, revived, now)

    def merge(
        self,
        object_name: str,
        master_id: str,
        loser_ids: Iterable[str],
        values: Mapping[str, Any] | None = None,
        *,
        by: str = OTHER_USER_ID,
    ) -> None:
        """Merge records into the master: the losers go to the recycle bin with its id as their MasterRecordId.

        :raises RowError: one of the records is not there, or ``values`` for the master are refused. Nothing is changed.
        """
        with self.transaction():
            table = self.table(object_name)
            master = self._existing(table, master_id)["Id"]
            for loser_id in loser_ids:
                loser = self._existing(table, loser_id)["Id"]
                self.delete(object_name, loser, by=by)
                row = table.newest(loser)
                assert row is not None
                self._put(table, {**row, "MasterRecordId": master}, self.now())
                self._repoint(table.definition.name, loser, master, by)
            self.update(object_name, master, values or {}, by=by)

    def upsert(
        self,
        object_name: str,
        field_name: str,
        external_id: str,
        values: Mapping[str, Any],
        *,
        by: str = OTHER_USER_ID,
        update_only: bool = False,
    ) -> Upserted:
        """Update the record that holds the external id, or create it.

        :raises RowError: as Salesforce would refuse it; NOT_FOUND with ``update_only``.
        :raises MultipleMatchesError: the field is not unique and several records hold the value.
        """
        with self.lock:
            table = self.table(object_name)
            matches = table.live_matching(field_name, external_id.strip())
            if len(matches) > 1:
                raise MultipleMatchesError(tuple(row["Id"] for row in matches))
            if matches:
                self.update(object_name, matches[0]["Id"], values, by=by)
                return Upserted(matches[0]["Id"], created=False)
            if update_only:
                raise RowError("NOT_FOUND", "The requested resource does not exist", status=404)
            return Upserted(self.create(object_name, {**values, field_name: external_id}, by=by), created=True)

    def empty_recycle_bin(self) -> None:
        """Purge deleted records: they leave the deleted feed too, whose earliest date moves on."""
        with self.lock:
            for name, table in self.tables.items():
                gone = [row["Id"] for row in table.all_newest() if row.get("IsDeleted")]
                for record_id in gone:
                    table.remove(record_id)
                if gone:
                    self.delete_log_start[name] = self.now()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo every change of the block if it raises."""
        with self.lock:
            outer, self._undo = self._undo, []
            try:
                yield
            except BaseException:
                for table, record_id, saved in reversed(self._undo):
                    table.restore(record_id, saved)
                raise
            else:
                if outer is not None:
                    outer.extend(self._undo)
            finally:
                self._undo = outer

    # Reading, for tests and demos

    def get(self, object_name: str, record_id: str) -> dict[str, Any] | None:
        """Return a record as the API shows it, all fields, deleted or not; ``None`` if there is none."""
        with self.lock:
            table = self.table(object_name)
            row = table.newest(canonical_id(record_id) or record_id)
            return None if row is None else render(table.definition, row)

    def records(self, object_name: str, *, deleted: bool = False) -> list[dict[str, Any]]:
        """Return the records in order of birth as the API shows them; those in the recycle bin only if asked."""
        with self.lock:
            table = self.table(object_name)
            rows = sorted(table.all_newest(), key=lambda row: str(row["Id"]))
            return [render(table.definition, row) for row in rows if deleted or not row.get("IsDeleted")]

    def table(self, object_name: str) -> Table:
        """Return the rows of an object, whose name may be in any letter case.

        :raises KeyError: the org has no such object.
        """
        found = self.tables.get(object_name)
        if found is not None:
            return found
        for name, table in self.tables.items():
            if name.lower() == object_name.lower():
                return table
        raise KeyError(object_name)

    # Behaviour

    def on_save(self, object_name: str, field_name: str, rewrite: saving.Trigger) -> None:
        """Rewrite a field's value on every save, as a lossy trigger does: cut it, change its case, round it.

        ``rewrite`` gets the stored form, never ``None``, and runs before the length is checked.
        """
        self._triggers.setdefault(object_name, {})[field_name] = rewrite

    def spend_call(self, endpoint: str) -> bool:
        """Count an API call and return whether the daily limit allows it."""
        self.calls[endpoint] += 1
        if self.api_calls >= self.daily_limit:
            return False
        self.api_calls += 1
        return True

    def reset_counters(self) -> None:
        """Begin a new day: no API call used, no call counted."""
        with self.lock:
            self.calls.clear()
            self.api_calls = 0

    def expire_sessions(self) -> None:
        """End every access token, as a logout or a time-out does: 401 until a new one is fetched."""
        with self.lock:
            self.tokens.clear()

    # Inner parts

    def _changes(self, table: Table, values: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
        triggers = self._triggers.get(table.definition.name, {})
        return saving.changes(table.definition, values, triggers, creating=creating)

    def _existing(self, table: Table, record_id: str) -> Row:
        row = table.newest(canonical_id(record_id) or record_id)
        if row is None:
            raise RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if row.get("IsDeleted"):
            raise RowError("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return row

    def _birth(self, table: Table, now: datetime, by: str) -> Row:
        row: Row = {
            "Id": make_id(table.definition.key_prefix, table.next_serial()),
            "CreatedDate": stamp(now),
            "CreatedById": by,
            **saving.touch(now, by),
        }
        if "OwnerId" in table.definition.fields:
            row["OwnerId"] = by
        return row

    def _save(self, table: Table, row: Row, changed: Mapping[str, Any], now: datetime, *, creating: bool) -> None:
        saving.require(table.definition, row, None if creating else changed)
        saving.require_references(self.tables, table.definition, changed)
        if refusal := self.faults.refusal(table.definition.name, row):
            raise refusal
        saving.require_unique(table, row, changed)
        self._put(table, row, now)

    def _put(self, table: Table, row: Row, now: datetime) -> None:
        table.settle(now)
        if self._undo is not None:
            self._undo.append((table, row["Id"], table.saved(row["Id"])))
        delay = self.faults.delay(table.definition.name, row)
        table.put(row, visible_at=now + timedelta(seconds=delay) if delay else None)

    def _repoint(self, object_name: str, loser: str, master: str, by: str) -> None:
        for name, table in self.tables.items():
            fields = [f.name for f in table.definition.fields.values() if object_name in f.references and f.updateable]
            for row in list(table.all_newest()):
                for field_name in fields:
                    if row.get(field_name) == loser and not row.get("IsDeleted") and row["Id"] != master:
                        self.update(name, row["Id"], {field_name: master}, by=by)
