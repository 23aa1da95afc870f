"""The public API as a type checker sees it: ``mypy`` reads this, nothing runs it.

Each call is written as a user would write it; ``assert_type`` says what they get.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from typing import Any, assert_type

from pydantic import SecretStr

from crmsync import (
    MISSING,
    BulkSyncResult,
    ConflictPolicy,
    CRMCampaign,
    CRMContact,
    CRMError,
    CRMFeature,
    CRMList,
    CRMProvider,
    CRMSync,
    CRMSyncResult,
    CustomField,
    DeletePolicy,
    EmailActivity,
    EmailActivityType,
    EmailStats,
    Enforcement,
    FieldMapping,
    FieldType,
    Integration,
    ObjectMapping,
    Observer,
    Plan,
    RecordStore,
    Registry,
    RunOptions,
    RunReport,
    RunStatus,
    Side,
    SyncDirection,
    SyncRepository,
    Vault,
    always_use_crm,
    dont_sync,
    prefer_crm_unless_blank,
    two_way,
)
from crmsync.errors import DeleteGuardError, MappingError, RateLimitedError, TransientError
from crmsync.mapping.documents import DocumentForm
from crmsync.models.checks import MappingCheck, MappingFinding, Severity
from crmsync.models.events import RunFinished, SyncEvent
from crmsync.models.inbox import ConflictRule, Reject, RuleOutcome, RuleWinner, ValuePattern
from crmsync.models.integrations import MappingTemplate
from crmsync.models.previews import FieldFate
from crmsync.models.problems import Problem
from crmsync.models.records import ChangePage, Missing, Operation, Outcome, Record
from crmsync.models.results import ConnectionReport, Disconnection, SyncAction
from crmsync.models.runs import ObjectStatus, SideReport
from crmsync.models.schema import ObjectSchema
from crmsync.models.state import CallUsage, Conflict, ConflictStatus, SyncLog
from crmsync.models.suggestions import MappingSuggestion
from crmsync.protocols.conversion import RecordRule
from crmsync.protocols.provider import ProviderContext, ProviderFactory


class Printer:
    """An observer need not inherit from anything."""

    def notify(self, event: SyncEvent) -> None:
        if isinstance(event, RunFinished):
            assert_type(event.report, RunReport)


class AcmeFactory:
    """Neither does a third party's factory."""

    @property
    def name(self) -> str:
        return "acme"

    def default_mappings(self) -> Mapping[str, ObjectMapping]:
        return {}

    def open(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], context: ProviderContext
    ) -> AbstractAsyncContextManager[CRMProvider]:
        raise NotImplementedError


OBSERVER: Observer = Printer()
FACTORY: ProviderFactory = AcmeFactory()


def mappings() -> ObjectMapping:
    mapping = FieldMapping(
        markmail_field="email",
        crm_field="Email",
        field_type=FieldType.EMAIL,
        sync_direction=SyncDirection.BIDIRECTIONAL,
        policy=ConflictPolicy.NEWEST_WINS,
        to_crm=Enforcement.PROPAGATE,
        tie=Side.LOCAL,
    )
    assert_type(mapping.policy, ConflictPolicy | None)
    assert_type(two_way("first_name", "FirstName"), FieldMapping)
    presets = [always_use_crm("id", "Id"), dont_sync("a", "b"), prefer_crm_unless_blank("phone", "Phone")]
    return ObjectMapping(fields=(mapping, *presets), delete_in_local=DeletePolicy.UNLINK)


def values(report: RunReport) -> None:
    contact = CRMContact(email="ada@example.com", tags=("vip",), custom_fields={"Tier__c": "gold"})
    assert_type(contact.tags, tuple[str, ...])
    assert_type(contact.last_sync_at, datetime | None)
    campaign = CRMCampaign(name="Spring", start_date=date(2026, 3, 1), email_stats=EmailStats(sent=1))
    assert_type(campaign.email_stats.open_rate, float | None)
    assert_type(CRMList(name="News").member_emails, tuple[str, ...])
    assert_type(CustomField(name="Tier__c").type, FieldType)
    assert_type(report.status, RunStatus)
    assert_type(report.local, SideReport)
    assert_type(report.seconds, float)
    assert_type(report.written, int)
    blank: Missing = MISSING
    assert_type(bool(blank), bool)


async def mapping_verbs(crm: CRMSync, local: RecordStore) -> None:
    check = await crm.check_mapping("acme", "Contact", local, mapping=mappings())
    assert_type(check, MappingCheck)
    assert_type(check.of(Severity.ERROR), tuple[MappingFinding, ...])
    assert_type(check.coverage[0].missing, tuple[str, ...])
    await crm.accept_schema("acme", "Contact")
    preview = await crm.preview_record("acme", "Contact", local, email="ada@example.com")
    assert_type(preview.to_crm[0].fate, FieldFate)
    diff = await crm.diff_mappings("acme", "Contact", local, mappings(), mappings(), sample=10)
    assert_type(diff.by_field(), dict[tuple[Side, str], int])
    assert_type(await crm.save_template("salesforce", "ours", {"Contact": mappings()}), MappingTemplate)
    assert_type(await crm.templates(), list[MappingTemplate])
    assert_type(await crm.export_template("salesforce", "ours", DocumentForm.JSON), str)
    assert_type(await crm.apply_template("acme", "ours", objects=["Contact"]), Integration)


async def facade(local: RecordStore, repository: SyncRepository, vault: Vault) -> None:
    assert_type(CRMSync(repository, vault=vault, registry=Registry(), observers=[OBSERVER]), CRMSync)
    async with CRMSync.open("sqlite:///crmsync.db", vault=vault) as crm:
        assert_type(crm, CRMSync)
        added = await crm.add_integration(
            "acme",
            provider="salesforce",
            settings={"instance_url": "https://acme.my.salesforce.com"},
            credentials={"access_token": SecretStr("...")},
            mappings={"Contact": mappings()},
        )
        assert_type(added, Integration)
        assert_type(await crm.integrations(), list[Integration])
        assert_type(await crm.credentials("acme"), Mapping[str, SecretStr])
        assert_type(await crm.test_connection("acme"), ConnectionReport)
        assert_type(await crm.fields("acme", "Contact"), ObjectSchema)
        assert_type(await crm.compiled_mapping("acme", "Contact", local), RecordRule)
        suggested = await crm.suggest_mapping("acme", "Contact", local, samples=100)
        assert_type(suggested, MappingSuggestion)
        assert_type([one.mapping() for one in suggested.fields], list[FieldMapping])
        plan = await crm.plan("acme", "Contact", local)
        assert_type(plan, Plan)
        assert_type(plan.writes, int)
        assert_type(await crm.apply(plan, local), RunReport)
        assert_type(await crm.sync("acme", "Contact", local, options=RunOptions(max_calls=100)), RunReport)
        assert_type(await crm.status("acme"), list[ObjectStatus])
        assert_type(await crm.call_usage("acme"), CallUsage)
        assert_type(await crm.conflicts("acme", statuses=[ConflictStatus.OPEN]), list[Conflict])
        assert_type(await crm.conflict("acme", "c1"), Conflict)
        assert_type(await crm.resolve_conflict("acme", "c1", Side.REMOTE), Conflict)
        assert_type(await crm.resolve_conflict("acme", "c1", value="Ada", by="me"), Conflict)
        rule = ConflictRule(winner=RuleWinner.NEWEST, field="Phone", values=ValuePattern.SAME_LETTERS)
        assert_type(await crm.resolve_conflicts("acme", rule, dry_run=True), RuleOutcome)
        assert_type(await crm.erase_conflict_values("acme", settled=True), int)
        assert_type(await crm.rejects("acme", "Contact"), list[Reject])
        assert_type(await crm.reject("acme", "Contact", "7"), Reject)
        assert_type(await crm.retry_rejects("acme", "Contact", local, record_ids=["7"]), RunReport)
        assert_type(await crm.ignore_rejects("acme", "Contact", ["7"]), list[Reject])
        assert_type(await crm.unignore_rejects("acme", "Contact", ["7"]), list[Reject])
        chosen = await crm.choose_candidate("acme", "Contact", local, record_id="7", candidate_id=None)
        assert_type(chosen, RunReport)
        assert_type(await crm.logs("acme"), list[SyncLog])
        async with crm.provider("acme") as provider:
            await verbs(provider)
        assert_type(await crm.disconnect("acme"), Disconnection)
        await crm.remove_integration("acme")


async def verbs(provider: CRMProvider) -> None:
    contact = CRMContact(email="ada@example.com")
    assert_type(provider.provider_name, str)
    assert_type(provider.supports_feature(CRMFeature.BULK), bool)
    assert_type(await provider.test_connection(), ConnectionReport)
    assert_type(await provider.sync_contact(contact), CRMSyncResult)
    assert_type(await provider.get_contact("ada@example.com"), CRMContact | None)
    result = await provider.update_contact(contact)
    assert_type(result.action, SyncAction)
    assert_type(result.success, bool)
    assert_type(await provider.delete_contact("003"), CRMSyncResult)
    bulk = await provider.bulk_sync_contacts([contact])
    assert_type(bulk, BulkSyncResult)
    assert_type(list(bulk.failures()), list[tuple[int, CRMSyncResult]])
    assert_type(await provider.sync_campaign(CRMCampaign(name="Spring")), CRMSyncResult)
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    opened = EmailActivity(type=EmailActivityType.OPENED, email="ada@example.com", occurred_at=moment)
    assert_type(opened.campaign_id, str | None)
    assert_type(await provider.log_email_activity(opened), CRMSyncResult)
    assert_type(await provider.log_email_activities([opened]), BulkSyncResult)
    assert_type(await provider.sync_list_membership(CRMList(name="News")), BulkSyncResult)
    assert_type(await provider.get_custom_fields(), list[CustomField])
    assert_type(await provider.map_custom_fields([two_way("a", "b")]), ObjectMapping)
    await side(await provider.records("Contact"))


async def side(store: RecordStore) -> None:
    page = await store.changes(None, fields=["Email"])
    assert_type(page, ChangePage)
    assert_type(await store.get(["1"], fields=["Email"]), Mapping[str, Record])
    assert_type(await store.find("Email", ["ada@example.com"], fields=["Email"]), Sequence[Record])
    operations: Sequence[Operation] = ()
    assert_type(await store.write(operations), Sequence[Outcome])


def errors(error: CRMError) -> None:
    match error:
        case MappingError():
            assert_type(error.problems, tuple[Problem, ...])
        case RateLimitedError():
            assert_type(error.retry_after, float | None)
        case DeleteGuardError():
            assert_type(error.planned, int)
        case TransientError():
            assert_type(error.message, str)
        case _:
            raise error
