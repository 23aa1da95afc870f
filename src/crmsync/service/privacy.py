"""People's rights: what is held about a person, erasing a person, and what is kept where."""

from __future__ import annotations

import hmac
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from crmsync.diff import PersonMarks
from crmsync.engine import AT_ONCE, jsonable, purge
from crmsync.errors import ConfigurationError
from crmsync.models.candidates import Candidate
from crmsync.models.erasure import FoundPerson, Kept, ObjectErasure, Person, PersonIds
from crmsync.models.history import RecordChange
from crmsync.models.integrations import Integration
from crmsync.models.mappings import SUBSCRIBERS, ObjectMapping
from crmsync.models.privacy import (
    ErasedObject,
    ErasedRecord,
    ErasureReport,
    FieldPlaces,
    ObjectData,
    PersonalData,
    PersonRecord,
)
from crmsync.models.records import OutcomeStatus, Side
from crmsync.models.schema import FieldType
from crmsync.models.state import Conflict, Link, SyncLog
from crmsync.protocols.records import RecordStore
from crmsync.security.sealing import unseal
from crmsync.service.opening import Opening

Locals = Mapping[str, RecordStore]
"""The local side of each object, by the CRM's name of the object."""

_EVERY: Final = 1_000_000


class PrivacyVerbs(Opening):
    """The part of `CRMSync` for people's rights. Every verb takes all objects of an integration together."""

    async def personal_data(self, integration_id: str, locals_: Locals, person: Person) -> PersonalData:
        """Everything held about a person: on both sides, in the mapped fields, and in the bookkeeping.

        :raises ConfigurationError: the local side of an object that was synced is missing.
        :raises ProviderError: a side failed as a whole.
        """
        found = await self._found(integration_id, locals_, person)
        objects = [await self._held(integration_id, name, one) for name, one in found.items()]
        await self._audit.write("person.exported", integration_id, objects=sorted(found))
        return PersonalData(integration_id=integration_id, made_at=self._clock.now(), objects=tuple(objects))

    async def erase_person(
        self,
        integration_id: str,
        locals_: Locals,
        person: Person,
        *,
        sides: Sequence[Side] = tuple(Side),
        by: str = "",
        reason: str = "",
    ) -> ErasureReport:
        """Delete a person's records on these sides, forget them in the bookkeeping, and never take them in again.

        Memberships and activities that refer to them go first; what has a name of its own (a campaign) stays.
        ``sides`` may be empty: then both keep their records, which are no longer synced. Look at `personal_data`
        before: everybody with the e-mail is taken for the person. What is left are keyed digests of e-mails and ids.
        Where the CRM keeps deleted records in a bin, empty that yourself. ``by`` and ``reason`` stand in the report, so
        neither should tell who was erased.

        Interrupted, it is called again in the same way.

        :raises ConfigurationError: the local side of an object that was synced is missing.
        :raises ProviderError: a side failed as a whole.
        :raises ConcurrentUpdateError: a run is at work; call it again when that is over.
        """
        found, pen = await self._found(integration_id, locals_, person), await self._audit.pen()
        erasure_id, objects = uuid.uuid4().hex, list[ObjectErasure]()
        about: dict[str, Any] = {"erasure": erasure_id, "sides": [side.value for side in sides], "by": by or None}
        # Not who: of an erased person nothing is to be left. The report, which has the ids, has the erasure's id too.
        await self._audit.write("person.erased", integration_id, result="begun", objects=sorted(found), **about)
        for name, one in reversed(found.items()):
            whole = Person(one.emails, one.ids.markmail_ids, one.ids.crm_ids)
            async with self._runner(integration_id, name, locals_[name], None, even_paused=True) as runner:
                objects.append(await runner.erase_person(whole, sides))
        report = ErasureReport(
            erasure_id=erasure_id,
            integration_id=integration_id,
            requested_by=by,
            reason=reason,
            sides=tuple(sides),
            objects=tuple(_erased(one) for one in objects),
            marks=sum(one.marks for one in objects),
            complete=all(one.complete for one in objects),
            key_id=pen.key.id,
        )
        report = report.model_copy(update={"signature": pen.key.sign("erasure", report.signed)})
        result = "done" if report.complete else "failed"
        await self._audit.write("person.erased", integration_id, result=result, marks=report.marks, **about)
        return report

    async def verify_erasure(self, report: ErasureReport) -> bool:
        """Whether a report was made here, and says what it said then.

        :raises VaultError: the audit key is under a key that cannot be asked now.
        """
        key = (await self._audit.open_keys()).get(report.key_id)
        return key is not None and hmac.compare_digest(key.sign("erasure", report.signed), report.signature)

    async def allow_again(self, integration_id: str, person: Person) -> int:
        """Forget that a person was erased, by their e-mails and ids; how many marks there were. Ids count everywhere.

        :raises NotFoundError: there is no such integration.
        """
        integration = await self.repository.get_integration(integration_id)
        marks = PersonMarks(unseal(self._vault, integration).digest_key)
        wanted = {marks.email(email) for email in person.emails}
        for name in integration.field_mappings:
            wanted |= {marks.record(name, Side.LOCAL, each) for each in person.markmail_ids}
            wanted |= {marks.record(name, Side.REMOTE, each) for each in person.crm_ids}
        forgotten = await self.repository.forget_erased(integration_id, wanted)
        await self._audit.write("person.allowed_again", integration_id, marks=forgotten)
        return forgotten

    async def purge(self, integration_id: str) -> dict[str, int]:
        """Forget what is older than the mappings keep it; how many rows of each kind. Every run does so by itself.

        :raises NotFoundError: there is no such integration.
        """
        integration = await self.repository.get_integration(integration_id)
        counts = Counter[str]()
        for name, mapping in integration.field_mappings.items():
            while True:
                purged = await purge(self.repository, integration_id, name, mapping, self._clock.now())
                counts.update({kind.value: count for kind, count in purged.items()})
                if purged[Kept.CONFLICTS] < AT_ONCE:
                    break
        await self._audit.write("purged", integration_id, **counts)
        return dict(counts)

    async def data_map(self, integration_id: str) -> list[FieldPlaces]:
        """Where the values of each mapped field can be, and how long.

        :raises NotFoundError: there is no such integration.
        """
        integration = await self.repository.get_integration(integration_id)
        return [
            FieldPlaces(
                name,
                field.markmail_field,
                field.crm_field,
                mapping.keep_values_days,
                mapping.history_days,
                field.sensitive,
            )
            for name, mapping in integration.field_mappings.items()
            for field in mapping.fields
        ]

    async def _found(self, integration_id: str, locals_: Locals, person: Person) -> dict[str, FoundPerson]:
        """What a person has in each object: people first, then what refers to them."""
        integration = await self.repository.get_integration(integration_id)
        absent = [
            name
            for name in integration.field_mappings
            if name not in locals_ and await self.repository.count_links(integration_id, name)
        ]
        if absent:
            raise ConfigurationError(f"give the local side of {', '.join(absent)} too: the person may be there")
        given = {name: mapping for name, mapping in integration.field_mappings.items() if name in locals_}
        people = [name for name, mapping in given.items() if _of_people(mapping)]
        found = await self._found_people(integration_id, people, locals_, person)
        theirs = PersonIds(
            frozenset().union(*(one.ids.markmail_ids for one in found.values())),
            frozenset().union(*(one.ids.crm_ids for one in found.values())),
        )
        kinds = {*people, *self._objects_of_people(integration)}
        for name, mapping in given.items():
            if name not in found and known_by_itself(mapping):
                found[name] = FoundPerson(PersonIds())
            elif name not in found:
                async with self._runner(integration_id, name, locals_[name], None, writes=False) as runner:
                    found[name] = await runner.find_related(theirs, kinds)
        return found

    def _objects_of_people(self, integration: Integration) -> list[str]:
        defaults = self._registry.provider(integration.provider).default_mappings()
        return [name for name, mapping in defaults.items() if _of_people(mapping)]

    async def _found_people(
        self, integration_id: str, people: Sequence[str], locals_: Locals, person: Person
    ) -> dict[str, FoundPerson]:
        """In all objects of people, by every e-mail that any of them knows."""
        found: dict[str, FoundPerson] = {}
        emails, asked = person.emails, None
        while emails != asked:
            asked = emails
            for name in people:
                sought = attrs.evolve(person, emails=emails)
                async with self._runner(integration_id, name, locals_[name], None, writes=False) as runner:
                    found[name] = await runner.find_person(sought)
                emails |= found[name].emails
        return found

    async def _held(self, integration_id: str, name: str, found: FoundPerson) -> ObjectData:
        repository, ids = self.repository, found.ids
        both = sorted(ids.markmail_ids | ids.crm_ids)
        links = {
            **await repository.links_by_local(integration_id, name, sorted(ids.markmail_ids)),
            **{one.markmail_id: one for one in (await repository.links_by_remote(integration_id, name, both)).values()},
        }
        conflicts = await repository.list_conflicts(
            integration_id, name, markmail_ids=sorted(ids.markmail_ids), limit=_EVERY
        )
        changes = await repository.list_changes(integration_id, name, record_ids=both, limit=_EVERY) if both else []
        logs = await repository.list_logs(integration_id, name, limit=_EVERY)
        return ObjectData(
            entity_type=name,
            records=tuple(
                PersonRecord(side=side, id=record.id, fields={n: jsonable(v) for n, v in record.fields.items()})
                for side in Side
                for record in found.records.get(side, ())
            ),
            links=tuple(_row(one) for one in links.values()),
            conflicts=tuple(_row(one) for one in conflicts),
            changes=tuple(_row(one) for one in changes),
            problems=tuple(problem for log in logs for problem in _problems(log, both)),
        )


def _of_people(mapping: ObjectMapping) -> bool:
    """Whether an object's records are people: they are matched by an e-mail."""
    if mapping.local_object == SUBSCRIBERS:
        return True
    keys = (mapping.match.local_email, mapping.match.remote_email)
    return any(
        field.field_type is FieldType.EMAIL and (field.markmail_field == keys[0] or field.crm_field == keys[1])
        for field in mapping.fields
    )


def known_by_itself(mapping: ObjectMapping) -> bool:
    """Whether an object's records are matched by a name of their own, like campaigns.

    Such a record may refer to a person and is more than a fact about them: it stays when the person goes, and so do
    others of its name. Memberships and activities have no name.
    """
    return bool(mapping.match.local_email or mapping.match.remote_email)


def _row(row: Link | Conflict | RecordChange) -> dict[str, Any]:
    """A row of the bookkeeping. Shadows are left out: nobody can read anything in them."""
    return {
        name: jsonable(value)
        for name, value in attrs.asdict(row, value_serializer=_plain).items()
        if not isinstance(value, bytes) and value not in (None, (), [], "")
    }


def _plain(_row: Any, _field: Any, value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Candidate) else value


def _problems(log: SyncLog, ids: Sequence[str]) -> list[dict[str, Any]]:
    """What a run's log says of some records."""
    problems = log.error_details.get("report", {}).get("problems", [])
    named = [one for one in problems if one.get("markmail_id") in ids or one.get("crm_id") in ids]
    return [{"run_id": log.id, "started_at": log.started_at.isoformat(), **one} for one in named]


def _erased(one: ObjectErasure) -> ErasedObject:
    return ErasedObject(
        entity_type=one.entity_type,
        rows={kind.value: count for kind, count in one.rows.items()},
        records=tuple(
            ErasedRecord(
                side=record.side, id=record.id, deleted=record.status is not OutcomeStatus.FAILED, code=record.code
            )
            for record in one.records
        ),
        erased_at=one.erased_at,
    )
