"""The statuses that the members of campaigns can have: looked up, and made where the settings say so.

Who creates one reads the campaign's anew first, alone in the org; and again where an answer is lost, or where somebody
was faster: a label is a campaign's once, so that what is read tells what became of a create.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, TypeAlias

import anyio

from crmsync.errors import (
    AccessDeniedError,
    CRMError,
    DuplicateError,
    RecordError,
    RejectedError,
    SchemaChangedError,
)
from crmsync.models.records import Operation, OperationKind, Outcome
from crmsync.providers.salesforce import retrieving, soql
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.objects.parents import Describe
from crmsync.providers.salesforce.objects.results import word_of
from crmsync.providers.salesforce.orgs import exclusive
from crmsync.providers.salesforce.schema import SObject
from crmsync.providers.salesforce.writing.collections import CollectionsChannel
from crmsync.providers.salesforce.writing.outcomes import Sent, saved
from crmsync.providers.salesforce.writing.reconciling import SETTLE_SECONDS, Resend, answer_lost
from crmsync.providers.salesforce.writing.rows import Row, plan_writes

MEMBER: Final = "CampaignMember"
STATUS: Final = "Status"
MEMBER_STATUS: Final = "CampaignMemberStatus"
CAMPAIGN: Final = "CampaignId"
_ATTEMPTS: Final = 2
"""The second is for those whose place in the order somebody else took between the look and the create."""

Wanted: TypeAlias = tuple[str, str]
"""A campaign's 18-character id and a status."""

_LACKED: Final = "the campaign has no such member status"
UNKNOWN: Final = (
    f"{_LACKED}, and Salesforce would give the member its default: add it there, or set"
    " campaigns.create_member_statuses"
)
REPLACED: Final = f"{_LACKED}, and Salesforce gave the member its default: add it there"
NO_ACCESS: Final = (
    f"{_LACKED}, and this user may not create it: add it there, or let the user edit campaigns (the checkbox"
    " Marketing User)"
)


def unknown_status(message: str) -> RejectedError:
    """The error of a status that a campaign lacks."""
    return RejectedError(message, code="unknown_status", field=STATUS)


class CampaignStatuses:
    """The member statuses of an org's campaigns; one for a connection.

    What a campaign has is remembered; what it lacks is asked for again, since it can be added at any time. What
    Salesforce refused to create is not sent again by this connection.
    """

    def __init__(self, client: SalesforceClient, describe: Describe, limiter: anyio.CapacityLimiter) -> None:
        self.client = client
        self._describe = describe
        self._channel = CollectionsChannel(client, MEMBER_STATUS, None, limiter, _ByLabel(self))
        self._known: dict[str, frozenset[str]] = {}
        self._last: dict[str, int] = {}
        self._refused: dict[Wanted, RecordError] = {}

    @property
    def creates(self) -> bool:
        """Whether the settings let missing statuses be made."""
        return self.client.settings.campaigns.create_member_statuses

    async def lacking(self, wanted: Iterable[Wanted]) -> frozenset[Wanted]:
        """Those of which the campaign is known to lack the status.

        A campaign that shows no status at all, or statuses that are hidden from this user, tell nothing.
        """
        asked = list(wanted)
        # What cannot be read tells nothing.
        with suppress(AccessDeniedError, SchemaChangedError):
            await self.read(campaign for campaign, status in asked if not self.has(campaign, status))
        return frozenset(pair for pair in asked if self._known.get(pair[0]) and not self.has(*pair))

    async def impossible(self, lacking: frozenset[Wanted]) -> dict[Wanted, RecordError]:
        """Of statuses that are lacking: those which `provide` would not make, and why, as far as that can be told."""
        if not lacking or not self.creates:
            return dict.fromkeys(lacking, unknown_status(UNKNOWN))
        if not _may_create(await self._describe(MEMBER_STATUS)):
            return dict.fromkeys(lacking, unknown_status(NO_ACCESS))
        held = (await self._describe(MEMBER)).fields.get(STATUS)
        longest = held.length if held is not None else None
        too_long = unknown_status(f"{_LACKED}, and a member's status has {longest} characters at the most")
        errors: dict[Wanted, RecordError] = {
            pair: too_long for pair in lacking if longest is not None and len(pair[1].strip()) > longest
        }
        known = {pair: self._refused.get(folded(pair)) for pair in lacking - errors.keys()}
        return errors | {pair: error for pair, error in known.items() if error is not None}

    async def provide(self, wanted: Iterable[Wanted]) -> Mapping[Wanted, RecordError]:
        """Make the statuses that are missing, if the settings say so; why those that are still missing are.

        :raises BudgetExceededError: before any was made. :raises ProviderError: the calls failed as a whole.
        """
        lacking = await self.lacking(wanted)
        errors = await self.impossible(lacking)
        if due := lacking - errors.keys():
            async with exclusive(self.client, "member statuses"):
                errors |= await self._create(await self.lacking(due))
        return errors

    def has(self, campaign: str, status: str) -> bool:
        """Whether the campaign is known to have the status; letter case does not count."""
        return status.strip().casefold() in self._known.get(campaign, ())

    async def read(self, campaigns: Iterable[str]) -> None:
        """Read what these campaigns have.

        :raises AccessDeniedError: :raises SchemaChangedError: it is hidden from this user.
        """
        found: dict[str, set[str]] = {}
        columns = (CAMPAIGN, "Label", *(("SortOrder",) if self.creates else ()))
        for statement in soql.select_in(columns, MEMBER_STATUS, CAMPAIGN, dict.fromkeys(campaigns)):
            for row in await retrieving.query_all(self.client, statement):
                campaign = full_id(str(row.get(CAMPAIGN))) or ""
                found.setdefault(campaign, set()).add(str(row.get("Label") or "").strip().casefold())
                self._last[campaign] = max(self._last.get(campaign, 0), int(row.get("SortOrder") or 0))
        self._known.update((campaign, frozenset(labels)) for campaign, labels in found.items())

    async def _create(self, lacking: Iterable[Wanted]) -> Mapping[Wanted, RecordError]:
        """Make these; those that could not be made, and why. Only in a turn."""
        due: dict[Wanted, list[Wanted]] = {}
        for pair in sorted(lacking):
            due.setdefault(folded(pair), []).append(pair)
        errors: dict[Wanted, RecordError] = {}
        for _ in range(_ATTEMPTS):
            outcomes = await self._write([spelt[0] for spelt in due.values()])
            refused = {key: each.error for key, each in zip(due, outcomes, strict=True) if not each.ok}
            self._note((campaign, label) for campaign, label in due if (campaign, label) not in refused)
            errors |= {pair: _refusal(error) for key, error in refused.items() for pair in due[key]}
            again = [key for key, error in refused.items() if isinstance(error, DuplicateError)]
            await self.read(campaign for campaign, _ in again)
            due = {key: due[key] for key in again if not self.has(*key)}
            if not due:
                break
        errors = {pair: error for pair, error in errors.items() if not self.has(*pair)}
        self._refused |= {folded(pair): error for pair, error in errors.items() if _lasts(error)}
        return errors

    def _note(self, made: Iterable[Wanted]) -> None:
        for campaign, label in made:
            self._known[campaign] = self._known.get(campaign, frozenset()) | {label}

    async def _write(self, pairs: Sequence[Wanted]) -> list[Outcome]:
        """Create a status for each, after those that its campaign has."""
        sobject = await self._describe(MEMBER_STATUS)
        writable = {name for name, field in sobject.fields.items() if field.createable}
        operations = []
        for place, (campaign, status) in enumerate(pairs):
            self._last[campaign] = self._last.get(campaign, 0) + 1
            fields = {
                CAMPAIGN: campaign,
                "Label": status.strip(),
                "SortOrder": self._last[campaign],
                "HasResponded": status.strip().casefold() in self._responses,
            }
            given = {name: value for name, value in fields.items() if name in writable}
            operations.append(Operation(str(place), OperationKind.CREATE, None, fields=given))
        plan = plan_writes(operations, sobject, None)
        outcomes = dict(plan.outcomes)
        for verb, rows in (pair for each in plan.rounds for pair in each.items()):
            sent = await self._channel.send(verb, rows)
            if not all(isinstance(error, AccessDeniedError | SchemaChangedError) for error in sent.failures.values()):
                sent.raise_if_nothing_arrived()
            outcomes |= sent.outcomes
        return [outcomes[place] for place in range(len(pairs))]

    @property
    def _responses(self) -> frozenset[str]:
        return frozenset(label.strip().casefold() for label in self.client.settings.campaigns.responded_statuses)


class _ByLabel:
    """Settles creates whose answer was lost: what the campaign has now was created, the rest may be sent once more."""

    def __init__(self, statuses: CampaignStatuses) -> None:
        self._statuses = statuses

    async def settle(self, rows: Sequence[Row], began: datetime, sent: Sent, resend: Resend | None) -> None:
        """See `Settler`."""
        try:
            await self._statuses.client.clock.sleep(SETTLE_SECONDS)
            await self._statuses.read(str(row.values[CAMPAIGN]) for row in rows)
        except CRMError:
            sent.fail(rows, answer_lost())
            return
        missing: list[Row] = []
        for row in rows:
            if self._statuses.has(str(row.values[CAMPAIGN]), str(row.values["Label"])):
                sent.answer(row, saved(row, None, created=True))
            else:
                missing.append(row)
        if missing and resend is not None:
            await resend(missing, sent)
        else:
            sent.fail(missing, answer_lost())


def _may_create(sobject: SObject) -> bool:
    return sobject.createable and all(
        name in sobject.fields and sobject.fields[name].createable for name in (CAMPAIGN, "Label")
    )


def folded(pair: Wanted) -> Wanted:
    """A pair as it is compared."""
    return pair[0], pair[1].strip().casefold()


def _refusal(error: CRMError | None) -> RecordError:
    message = error.message if error else "Salesforce did not say why"
    code = error.code if isinstance(error, RecordError) else word_of(error) if error else "rejected"
    return RejectedError(f"the campaign's member status could not be created: {message}", code=code, field=STATUS)


def _lasts(error: RecordError) -> bool:
    """Whether Salesforce would say so again."""
    return error.code not in ("answer_lost", "unavailable", "rate_limited")
