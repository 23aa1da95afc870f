"""E-mail events on the people they concern: as tasks, as e-mail messages with their tasks, or as campaign responses.

There is one task for each message to one person, however many events: see `tally`. It is recognised by
`message_key`, in the field that the settings name if the org has it, else in ``CallObject``, which is "not subject to
field-level security" and "available for any user" ("Task", Object Reference).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs

from crmsync.errors import SchemaChangedError
from crmsync.models.campaigns import EmailActivity, EmailActivityType
from crmsync.models.records import Operation, OperationKind, Outcome, Record
from crmsync.models.results import BulkSyncResult, CRMSyncResult, SyncAction
from crmsync.models.schema import ObjectSchema
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.consent import PERSON_FIELDS, TELLING, PersonChanges
from crmsync.providers.salesforce.objects.email_messages import EmailMessages, Sent
from crmsync.providers.salesforce.objects.finding import Found, OpenStore, find_people, folded
from crmsync.providers.salesforce.objects.options import ActivityMode
from crmsync.providers.salesforce.objects.responses import Responses
from crmsync.providers.salesforce.objects.results import result_of, write_all
from crmsync.providers.salesforce.objects.tally import Tally, message_key
from crmsync.providers.salesforce.orgs import exclusive

CALL_OBJECT: Final = "CallObject"
_MAX_SUBJECT: Final = 255


@attrs.define(slots=True, eq=False)
class Story:
    """All events of one message to one person in a call. ``positions`` are those of its events among the inputs."""

    key: str
    person: Found
    events: list[EmailActivity] = attrs.field(factory=list)
    positions: list[int] = attrs.field(factory=list)
    task: Record | None = None

    def without(self, kinds: Collection[EmailActivityType], result: CRMSyncResult) -> dict[int, CRMSyncResult]:
        """Leave out the events of these kinds; their results."""
        pairs = list(zip(self.positions, self.events, strict=True))
        self.positions = [position for position, event in pairs if event.type not in kinds]
        self.events = [event for _, event in pairs if event.type not in kinds]
        return {position: result for position, event in pairs if event.type in kinds}

    @property
    def placed(self) -> list[tuple[int, EmailActivity, Found]]:
        """Each event with its position and the person."""
        return [(place, event, self.person) for place, event in zip(self.positions, self.events, strict=True)]

    @property
    def news(self) -> list[EmailActivity]:
        """The events that are not counted yet."""
        return [event for event, new in zip(self.events, self.tally.news(self.events), strict=True) if new]

    @property
    def tally(self) -> Tally:
        """What was counted before."""
        return Tally.read_from(str((self.task.fields.get("Description") if self.task else None) or ""))

    @property
    def campaign_id(self) -> str | None:
        """The campaign, where it may stand: a task of a lead is related to nothing else ("Task", WhatId)."""
        if self.person.object_name == "Lead":
            return None
        return next((event.campaign_id for event in self.events if event.campaign_id), None)

    @property
    def subject(self) -> str:
        subject = next((event.subject for event in self.events if event.subject), None)
        return f"Email: {subject}"[:_MAX_SUBJECT] if subject else "Email"


@attrs.frozen(slots=True)
class ActivityLog:
    """Records events. ``key_field`` is the field of Task to recognise them by, if the org has it."""

    client: SalesforceClient
    open_store: OpenStore
    mode: ActivityMode
    key_field: str

    async def record(self, activities: Sequence[EmailActivity]) -> BulkSyncResult:
        """One result for each event, in order: created with its record, updated, or unchanged if it was counted before.

        ``crm_id`` is the record's.
        """
        people = await find_people(self.open_store, (each.email for each in activities), PERSON_FIELDS)
        results: dict[int, CRMSyncResult] = {}
        stories: dict[str, Story] = {}
        for position, activity in enumerate(activities):
            person = people[folded(activity.email)]
            if isinstance(person, CRMSyncResult):
                results[position] = person
                continue
            key = message_key(activity)
            story = stories.setdefault(key, Story(key, person))
            story.events.append(activity)
            story.positions.append(position)
        if stories:
            # Two at once would make two tasks of one message, or count into it what the other one overwrites.
            async with exclusive(self.client, "activity"):
                await self._tell_all(list(stories.values()), results)
        return BulkSyncResult(results=tuple(results[position] for position in range(len(activities))))

    async def _tell_all(self, stories: Sequence[Story], results: dict[int, CRMSyncResult]) -> None:
        if self.mode is ActivityMode.CAMPAIGN_MEMBER:
            responses = Responses(self.client, self.open_store)
            results |= await responses.record([event for story in stories for event in story.placed])
        else:
            await self._tell(stories, results)

    async def _tell(self, stories: Sequence[Story], results: dict[int, CRMSyncResult]) -> None:
        """Change the people, and then the tasks: what is counted has taken effect on its person."""
        store = await self.open_store("Task")
        key_field = self._key_field(await store.describe())
        found = await store.find(key_field, [story.key for story in stories], fields=("Description", key_field))
        tasks = {str(record.fields.get(key_field)): record for record in found}
        for story in stories:
            story.task = tasks.get(story.key)
        failures = await PersonChanges(self.open_store).apply([(story.person, story.news) for story in stories])
        for story in stories:
            if story.person.id in failures:
                results.update(story.without(TELLING, failures[story.person.id]))
        made = await self._made_messages([story for story in stories if story.events and story.task is None])
        operations: list[tuple[Story, Operation | None]] = []
        for story in stories:
            task = made.get(story.key)
            if isinstance(task, CRMSyncResult):
                results.update(dict.fromkeys(story.positions, task))
            elif story.events:
                operations.append((story, self._operation(story, key_field, task)))
        outcomes = await write_all(store, [operation for _, operation in operations if operation is not None])
        by_id = {outcome.op_id: outcome for outcome in outcomes}
        for story, operation in operations:
            results.update(_results(story, by_id[operation.op_id] if operation else None))

    def _key_field(self, schema: ObjectSchema) -> str:
        for name in (self.key_field, CALL_OBJECT):
            field = schema.field(name)
            if field is not None and field.createable:
                return name
        raise SchemaChangedError(
            f"Task has neither {self.key_field} nor {CALL_OBJECT} that this user may write: an event could not be told"
            " from one that is logged again"
        )

    async def _made_messages(self, stories: Sequence[Story]) -> Mapping[str, str | CRMSyncResult]:
        """The task of each new story's e-mail message, by key; nothing where events are only tasks."""
        if self.mode is not ActivityMode.EMAIL_MESSAGE or not stories:
            return {}
        new = [
            Sent(
                story.key,
                story.person,
                subject=story.subject.removeprefix("Email: "),
                at=Tally().adding(story.events).first,
                campaign_id=story.campaign_id,
            )
            for story in stories
        ]
        return await EmailMessages(self.client).make(new)

    def _operation(self, story: Story, key_field: str, task_id: str | None) -> Operation | None:
        """The write of what is new, or None if nothing is."""
        before = str((story.task.fields.get("Description") if story.task else None) or "")
        tally = story.tally.adding(story.events)
        if story.task is not None and tally == story.tally:
            return None
        op_id, fields = uuid.uuid4().hex, {"Description": tally.written_into(before)}
        if story.task is not None:
            return Operation(op_id, OperationKind.UPDATE, story.task.id, fields=fields)
        fields[key_field] = story.key
        if task_id is not None:
            return Operation(op_id, OperationKind.UPDATE, task_id, fields=fields)
        return Operation(op_id, OperationKind.CREATE, None, fields={**fields, **_task(story, tally)})


def _task(story: Story, tally: Tally) -> dict[str, object]:
    values: dict[str, object] = {
        "Subject": story.subject,
        "Status": "Completed",
        "TaskSubtype": "Email",
        "WhoId": story.person.id,
        "ActivityDate": tally.first.date() if tally.first else None,
    }
    if story.campaign_id:
        # What is no id of Salesforce is refused by it, with the field named.
        values["WhatId"] = full_id(story.campaign_id) or story.campaign_id
    return values


def _results(story: Story, outcome: Outcome | None) -> dict[int, CRMSyncResult]:
    if outcome is None:
        same = CRMSyncResult(action=SyncAction.UNCHANGED, crm_id=story.task.id if story.task else None)
        return dict.fromkeys(story.positions, same)
    result = result_of(outcome, missing="the task is gone")
    if not result.success:
        return dict.fromkeys(story.positions, result)
    results: dict[int, CRMSyncResult] = {}
    for position, new in zip(story.positions, story.tally.news(story.events), strict=True):
        action = SyncAction.UPDATED if new else SyncAction.UNCHANGED
        if story.task is None and not results:
            action = SyncAction.CREATED
        results[position] = CRMSyncResult(action=action, crm_id=result.crm_id)
    return results
