"""The human view and the JSON view of what the facade returns."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal

import pytest
from rich.console import Console, RenderableType

from crmsync.cli import payloads, record_views, tables
from crmsync.models.candidates import Candidate
from crmsync.models.plans import Plan, PlannedRecord, PlannedWrite
from crmsync.models.records import OperationKind, Side
from crmsync.models.results import ConnectionReport
from crmsync.models.runs import ObjectStatus, RecordProblem, RunReport, RunStatus, SideReport
from crmsync.models.schema import FieldSchema, ObjectSchema
from crmsync.models.state import Conflict, ConflictStatus, Cursors, Link, LinkStatus, SyncLog

NOW = dt.datetime(2026, 11, 24, 20, 0, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=3)


def shown(*views: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None, markup=False, emoji=False)
    for view in views:
        console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def report(**changes: object) -> RunReport:
    given: dict[str, object] = {
        "run_id": "r",
        "integration_id": "acme",
        "entity_type": "Contact",
        "status": RunStatus.PARTIAL,
        "started_at": NOW,
        "finished_at": LATER,
        "local": SideReport(read=10, created=1, rejected=2),
        "remote": SideReport(read=9, updated=3, api_calls=7),
        "linked": 8,
    }
    return RunReport.model_validate({**given, **changes})


def plan(count: int) -> Plan:
    records = tuple(
        PlannedRecord(
            f"local-{n}",
            None,
            (
                PlannedWrite(Side.REMOTE, OperationKind.CREATE, {"LastName": f"Köhler {n}", "Tags": ("a", "b")}),
                PlannedWrite(Side.LOCAL, OperationKind.UPDATE, {}),
            ),
            "f",
        )
        for n in range(count)
    )
    return Plan("p", "acme", "Contact", "v", NOW, records, Cursors(), report(dry_run=True), "d")


def conflict(**changes: object) -> Conflict:
    made = Conflict(
        "0123456789abcdef", "acme", "Contact", "7", "003", "phone", "Phone", "manual", ConflictStatus.OPEN, "1", None
    )
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def test_a_run_shows_the_counts_of_both_sides_and_leaves_out_those_that_are_zero() -> None:
    text = shown(*tables.report_views(report()))
    assert "acme Contact: incremental run partial in 3.0 s, 8 linked, 4 written" in text
    assert "rejected" in text
    assert "echoes" not in text


def test_even_a_run_with_every_count_fits_80_columns() -> None:
    full = SideReport(
        read=12345,
        created=12345,
        updated=12345,
        deleted=12345,
        unchanged=12345,
        conflicts=12345,
        rejected=12345,
        echoes_dropped=12345,
        api_calls=12345,
    )
    text = shown(*tables.report_views(report(local=full, remote=full)))
    assert "…" not in text
    assert text.count("12345") == 18


def test_a_run_says_how_many_erased_people_it_left_alone() -> None:
    text = shown(*tables.report_views(report(local=SideReport(erased=1), remote=SideReport(erased=2))))
    assert "3 record(s) of people who were erased were left alone" in text


def test_a_problem_shows_record_field_reason_candidates_and_remedy() -> None:
    problem = RecordProblem(
        markmail_id="7",
        crm_id="003",
        side="local",
        field="email",
        code="bad",
        message="m\x1b",
        remedy="r",
        candidates=(Candidate(id="c", side=Side.REMOTE), Candidate(id="d", side=Side.LOCAL), Candidate(id="e")),
    )
    text = shown(*tables.report_views(report(problems=(problem,), problem_count=30)))
    for part in (
        "30 problem(s), the first 1",
        "7",
        "003",
        "email",
        "local: m\\x1b [bad]",
        "candidates: CRM c, local d, e",
        "r",
    ):
        assert part in text


def test_a_plan_shows_each_write_with_its_values_and_how_many_more_there_are() -> None:
    text = shown(tables.plan_table(plan(3), limit=2))
    assert "6 write(s) planned; 1 more record(s), see them with --all" in text
    assert "LastName = Köhler 1" in text
    assert "Tags = a; b" in text
    assert "only the local id" in text
    assert "Köhler 2" not in text
    assert "Köhler 2" in shown(tables.plan_table(plan(3), limit=None))


@pytest.mark.parametrize(
    "value, text", [(None, "(blank)"), ("", ""), (False, "False"), (("a", "b"), "a; b"), ("x" * 70, "x" * 59 + "…")]
)
def test_values_are_shown_on_one_line(value: object, text: str) -> None:
    assert tables.shown_value(value) == text


def test_conflicts_show_both_values_and_the_beginning_of_the_id() -> None:
    text = shown(record_views.conflicts_table([conflict()]))
    assert "01234567 " in text
    assert "(blank)" in text
    assert "open" in text


def test_one_conflict_is_shown_in_full() -> None:
    long = "x" * 100
    text = shown(record_views.conflict_view(conflict(local_value=long, winner=Side.REMOTE, created_at=NOW)))
    assert text.count("x") >= 100
    assert "0123456789abcdef" in text
    assert "2026-11-24 20:00:00 UTC" in text


def test_on_a_narrow_terminal_tables_keep_their_names_and_ids() -> None:
    status = shown(*tables.status_views([("acme", ObjectStatus(entity_type="Contact", synced=5, rejected=1))]))
    assert "acme Contact  5        1" in status
    assert "ignored" not in status
    local_id, crm_id = "0b2cd165-4753-5063-871d-203ef681f102", "0035e0000000008AAA"
    pair = Link("i", "Contact", local_id, crm_id, LinkStatus.QUARANTINED)
    assert f"{local_id}  {crm_id}  quarantined" in shown(record_views.links_table([pair]))
    assert "problem" not in shown(record_views.links_table([pair]))


def test_a_status_of_nothing_says_how_to_begin() -> None:
    assert "crmsync connect --test" in shown(*tables.status_views([]))


def test_status_logs_fields_and_connections_show_what_they_hold() -> None:
    status = shown(*tables.status_views([("acme", ObjectStatus(entity_type="Contact", synced=5, last_run=report()))]))
    assert "acme Contact: last run 2026-11-24 20:00:03 UTC, partial, 4 written" in status
    assert "never run" in shown(*tables.status_views([("acme", ObjectStatus(entity_type="Contact"))]))
    log = SyncLog("l", "acme", "full", "Contact", 5, 4, 1, NOW, LATER)
    assert "3.0 s" in shown(tables.logs_table([log]))
    schema = ObjectSchema(name="Contact", fields=(FieldSchema(name="Email", required=True, createable=False),))
    assert "required" in shown(tables.fields_table(schema))
    dependent = ObjectSchema(name="Contact", fields=(FieldSchema(name="Town__c", controlled_by="Region__c"),))
    assert "depends on Region__c" in shown(tables.fields_table(dependent))
    found = ConnectionReport(ok=False, organisation="Org", calls_used=1, calls_limit=2, warnings=("no field",))
    text = shown(*tables.connection_views("acme", found))
    for part in ("not usable", "Org", "1 of 2", "warning: no field"):
        assert part in text


def test_the_json_forms_hold_everything_and_are_valid() -> None:
    made = json.loads(json.dumps(payloads.plan_payload(plan(1))))
    assert made["writes"] == 2
    assert made["records"][0]["writes"][0]["fields"] == {"LastName": "Köhler 0", "Tags": ["a", "b"]}
    assert made["report"]["written"] == 4
    assert made["report"]["remote"]["written"] == 3
    assert json.loads(json.dumps(payloads.conflict_payload(conflict(winner=Side.LOCAL))))["winner"] == "local"
    log = payloads.log_payload(SyncLog("l", "acme", "full", "Contact", 5, 4, 1, NOW, None))
    assert (log["started_at"], log["completed_at"]) == ("2026-11-24T20:00:00+00:00", None)


@pytest.mark.parametrize(
    "value, form",
    [
        (None, None),
        (False, False),
        (0, 0),
        ("", ""),
        (Decimal("1.10"), "1.10"),
        (float("nan"), "nan"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (NOW, "2026-11-24T20:00:00+00:00"),
        (("b", "a"), ["b", "a"]),
        (b"\x00", "AA=="),
        ({"k": Decimal(1)}, {"k": "1"}),
    ],
)
def test_a_records_value_has_one_json_form(value: object, form: object) -> None:
    assert payloads.value(value) == form
