"""What verbs and runs answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from crmsync.models.campaigns import CRMCampaign, EmailStats
from crmsync.models.results import BulkSyncResult, CRMSyncResult, SyncAction
from crmsync.models.runs import RunReport, RunStatus, SideReport
from crmsync.models.schema import FieldSchema, FieldType, ObjectSchema

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("action", SyncAction)
def test_a_result_succeeds_unless_it_failed(action: SyncAction) -> None:
    assert CRMSyncResult(action=action).success is (action is not SyncAction.FAILED)


def test_a_bulk_result_keeps_input_order_and_says_which_inputs_failed() -> None:
    good, bad = CRMSyncResult(action=SyncAction.CREATED), CRMSyncResult(action=SyncAction.FAILED, code="rejected")
    bulk = BulkSyncResult(results=(good, bad, good, bad))
    assert (bulk.succeeded, bulk.failed) == (2, 2)
    assert list(bulk.failures()) == [(1, bad), (3, bad)]


def test_a_report_says_how_long_and_how_much_and_both_are_in_its_json() -> None:
    report = RunReport(
        run_id="r",
        integration_id="i",
        entity_type="Contact",
        status=RunStatus.SUCCESS,
        started_at=START,
        finished_at=START + timedelta(seconds=2.5),
        local=SideReport(created=1, unchanged=7),
        remote=SideReport(updated=2, deleted=3),
    )
    assert (report.seconds, report.written, report.remote.written) == (2.5, 6, 5)
    assert report.model_dump(mode="json")["seconds"] == 2.5


def test_rates_of_an_undelivered_campaign_are_zero() -> None:
    assert (EmailStats(sent=3).open_rate, EmailStats(sent=3).click_rate) == (0.0, 0.0)
    stats = EmailStats(sent=10, delivered=8, opened=4, clicked=2)
    assert (stats.open_rate, stats.click_rate) == (0.5, 0.25)
    unknown = EmailStats(sent=10, delivered=None, opened=4, clicked=2)
    assert (unknown.open_rate, unknown.click_rate) == (None, None)
    assert EmailStats(delivered=8, opened=None).open_rate is None


def test_a_campaign_does_not_end_before_it_starts() -> None:
    day = START.date()
    assert CRMCampaign(name="Spring", start_date=day, end_date=day).end_date == day
    with pytest.raises(ValidationError, match="end_date is before start_date"):
        CRMCampaign(name="Spring", start_date=day, end_date=day - timedelta(days=1))


def test_a_schema_finds_its_fields_by_their_exact_names() -> None:
    email = FieldSchema(name="Email", type=FieldType.EMAIL)
    schema = ObjectSchema(name="Contact", fields=(FieldSchema(name="Id"), email))
    assert schema.field("Email") is email
    assert schema.field("email") is None


def test_tags_and_multi_picklists_are_sets_and_nothing_else_is() -> None:
    assert {kind for kind in FieldType if kind.set_valued} == {FieldType.TAGS, FieldType.MULTI_PICKLIST}
