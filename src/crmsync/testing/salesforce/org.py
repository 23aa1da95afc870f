"""The emulated org: its objects, records, users and counters, and the changes that tests and routes make in it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import frozen

from crmsync.testing.salesforce.bulk.jobs import BulkOptions, Jobs
from crmsync.testing.salesforce.clock import Clock, utc_now
from crmsync.testing.salesforce.conversion import Conversion, Converted, convert
from crmsync.testing.salesforce.cursors import Cursors
from crmsync.testing.salesforce.dataload.jobs import LoadJobs
from crmsync.testing.salesforce.errors import RowError
from crmsync.testing.salesforce.faults import Faults
from crmsync.testing.salesforce.ids import canonical_id, make_id
from crmsync.testing.salesforce.locking import Locks
from crmsync.testing.salesforce.oauth.apps import OAuthApp
from crmsync.testing.salesforce.oauth.authorization_server import new_server
from crmsync.testing.salesforce.permissions import Permissions
from crmsync.testing.salesforce.persons import with_person_accounts
from crmsync.testing.salesforce.rendering import render
from crmsync.testing.salesforce.rules import Rules
from crmsync.testing.salesforce.schema import FieldDef, org_objects
from crmsync.testing.salesforce.seeding import API_USER_ID, OTHER_USER_ID, seed_system_records
from crmsync.testing.salesforce.store import Table
from crmsync.testing.salesforce.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from crmsync.testing.salesforce.permissions import Profile
    from crmsync.testing.salesforce.rules import Trigger
    from crmsync.testing.salesforce.store import Row

ORG_ID: Final = make_id("00D", 1)
#: Replication feeds reach back to an org's birth, so a new emulator's org is not newborn.
ORG_AGE: Final = timedelta(days=365)
DEFAULT_TOKEN: Final = f"{ORG_ID}!emulator.access.token"
#: The address that a real org would have; JWT bearer assertions may name it.
MY_DOMAIN: Final = "https://emulator-dev-ed.develop.my.salesforce.com"


#: Called with the object's name and the record before (None: it was created) and after, as the API shows them. The
#: record after has ``IsDeleted`` and ``LastModifiedById``.
Watcher: TypeAlias = Callable[[str, "dict[str, Any] | None", "dict[str, Any]"], None]


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
    :param person_accounts: whether the org has person accounts: an account that is created with a ``LastName`` is one,
        and has a contact, ``PersonContactId``, whose values are the same as long as both live.
    :param daily_limit: API calls a day; further ones get 403 REQUEST_LIMIT_EXCEEDED.
    :param clock: returns aware datetimes; real time by default. :meth:`advance` adds to it.
    :param access_token: the API user's token.
    :param user_id: the API user's id.
    :param users: further users' ids by their tokens.
    :param apps: External Client Apps besides the built-in ones; ``oauth`` has everything about sign-in.
    :param custom_fields: further fields by object.
    :param rules: validation rules, duplicate rules and triggers of the admin's; none by default.
    :param profiles: what users may see and do, by their ids; everything by default.
    :param max_version: the newest API version offered.
    :param bulk_seconds: how long a bulk job takes, by the clock, from the end of its upload on.
    :param bulk_seconds_per_record: how much longer for each of its records. With both at 0 the first poll finds a job
        done. Further options of bulk jobs are in ``org.bulk.options``.
    """

    def __init__(
        self,
        *,
        external_id_field: bool = True,
        hide_opt_out: bool = False,
        person_accounts: bool = False,
        daily_limit: int = 100_000,
        clock: Callable[[], datetime] = utc_now,
        access_token: str = DEFAULT_TOKEN,
        user_id: str = API_USER_ID,
        users: Mapping[str, str] | None = None,
        apps: Iterable[OAuthApp] = (),
        custom_fields: Mapping[str, Iterable[FieldDef]] | None = None,
        rules: Rules | None = None,
        profiles: Mapping[str, Profile] | None = None,
        max_version: int = 68,
        bulk_seconds: float = 0.0,
        bulk_seconds_per_record: float = 0.0,
    ) -> None:
        self.lock = threading.RLock()
        self.org_id = ORG_ID
        self.access_token = access_token
        self.user_id = user_id
        self.daily_limit = daily_limit
        self.max_version = max_version
        self.my_domain = MY_DOMAIN
        self.oauth = new_server(ORG_ID, user_id, apps)
        self.faults = Faults()
        self.cursors = Cursors()
        self.bulk = Jobs(BulkOptions(seconds=bulk_seconds, seconds_per_record=bulk_seconds_per_record))
        self.loads = LoadJobs()
        self.state_file: Path | None = None
        self.calls: Counter[str] = Counter()
        self.api_calls = 0
        self.clock = Clock(clock)
        objects = org_objects(custom_fields or {}, external_id_field=external_id_field, hide_opt_out=hide_opt_out)
        objects = with_person_accounts(objects) if person_accounts else objects
        self.tables = {name: Table(definition) for name, definition in objects.items()}
        self.rules = rules or Rules()
        self.permissions = Permissions(self.tables)
        self.locks = Locks(self.clock)
        self.writer = Writer(self.tables, self.clock, self.faults, self.rules, self.permissions, self.locks)
        self.started = self.now()
        self.described = self.started
        self.created = self.started - ORG_AGE
        self.delete_log_start: dict[str, datetime] = {}
        further_users = users or {}
        seed_system_records(self, further_users.values())
        for token, holder in {access_token: user_id, **further_users}.items():
            self.oauth.add_session(token, holder, self.started)

        for user, profile in (profiles or {}).items():
            self.permissions.grant(user, profile)

    # Time

    def now(self) -> datetime:
        """Return the org's time: aware, UTC."""
        return self.clock.now()

    def advance(self, seconds: float) -> None:
        """Set the org's clock forward."""
        self.clock.advance(seconds)

    # Changes

    def create(self, object_name: str, values: Mapping[str, Any], *, by: str = OTHER_USER_ID) -> str:
        """Create a record and return its id.

        :raises RowError: as Salesforce would refuse it.
        """
        with self.lock:
            return self.writer.create(self.table(object_name), values, by)

    def update(self, object_name: str, record_id: str, values: Mapping[str, Any], *, by: str = OTHER_USER_ID) -> None:
        """Change a record. Even a change to the same values moves SystemModstamp, as in Salesforce.

        :raises RowError: as Salesforce would refuse it; ENTITY_IS_DELETED or INVALID_CROSS_REFERENCE_KEY for the id.
        """
        with self.lock:
            self.writer.update(self.table(object_name), record_id, values, by)

    def delete(self, object_name: str, record_id: str, *, by: str = OTHER_USER_ID) -> None:
        """Move a record to the recycle bin, and with it the records that the describe says are deleted with it.

        :raises RowError: the id is unknown or already there, or the record may not be deleted.
        """
        with self.lock:
            self.writer.delete(self.table(object_name), record_id, by)

    def undelete(self, object_name: str, record_id: str, *, by: str = OTHER_USER_ID) -> None:
        """Bring a record back from the recycle bin, and with it the records that were deleted with it.

        :raises RowError: the id is not in the bin, or its unique value has a new holder.
        """
        with self.lock:
            self.writer.undelete(self.table(object_name), record_id, by)

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

        What refers to a loser refers to the master afterwards.

        :raises RowError: one of the records is not there, or ``values`` for the master are refused. Nothing is changed.
        """
        with self.lock:
            self.writer.merge(self.table(object_name), master_id, loser_ids, values or {}, by)

    def convert_lead(self, lead_id: str, target: Conversion | None = None, *, by: str = OTHER_USER_ID) -> Converted:
        """Convert a lead into a contact at an account, by default new ones.

        :raises RowError: the lead is converted or not there, or the target does not fit. Nothing is changed.
        """
        with self.lock:
            return convert(self.writer, lead_id, target or Conversion(), by)

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
                self.writer.update(table, matches[0]["Id"], values, by)
                return Upserted(matches[0]["Id"], created=False)
            if update_only:
                raise RowError("NOT_FOUND", "The requested resource does not exist", status=404)
            return Upserted(self.writer.create(table, {**values, field_name: external_id}, by), created=True)

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
        with self.lock, self.writer.transaction():
            yield

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

    def on_save(self, object_name: str, field_name: str, rewrite: Trigger | str, *, length: int | None = None) -> None:
        """Rewrite a field's value on every save, as a lossy trigger does: cut it, change its case, round it.

        :param rewrite: gets the stored form, never ``None``, and runs before the length is checked; or the name of a
            common trigger: see :func:`crmsync.testing.salesforce.rules.named_trigger`.
        """
        with self.lock:
            self.rules.rewrite(self.table(object_name).name, field_name, rewrite, length=length)

    def watch(self, watcher: Watcher) -> None:
        """Have every committed change of a record told, whoever made it; what was rolled back is not.

        The watcher runs in the thread that made the change, with the org's lock held.
        """

        def tell(table: Table, before: Row | None, after: Row) -> None:
            old = None if before is None else render(table.definition, before)
            watcher(table.name, old, render(table.definition, after))

        with self.lock:
            self.writer.watchers.append(tell)

    def set_profile(self, user_id: str, profile: Profile | None) -> None:
        """Set what a user may see and do; ``None`` is everything.

        :raises ValueError: the profile names what the org has not.
        """
        with self.lock:
            self.permissions.grant(user_id, profile)
            self.described = self.now()

    def spend_call(self, endpoint: str) -> bool:
        """Count an API call and return whether the daily limit allows it."""
        self.calls[endpoint] += 1
        if self.api_calls >= self.daily_limit:
            return False
        self.api_calls += 1
        return True

    def exhaust_api_calls(self) -> None:
        """Use the day's API calls up: every further one is refused until :meth:`reset_counters`."""
        with self.lock:
            self.api_calls = self.daily_limit

    def clear_faults(self) -> None:
        """Switch every fault off and free every locked record."""
        with self.lock:
            self.faults.clear()
            self.locks.clear()

    def reset_counters(self) -> None:
        """Begin a new day: no API call, batch or query job used, no call counted."""
        with self.lock:
            self.calls.clear()
            self.api_calls = 0
            self.bulk.batches.clear()
            self.bulk.query_jobs.clear()

    def expire_sessions(self) -> None:
        """End every access token, as a logout or a time-out does: 401 until a new one is fetched."""
        with self.lock:
            self.oauth.end_sessions()
