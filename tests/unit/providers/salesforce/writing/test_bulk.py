"""Rows through bulk jobs: requests as documented, results by key, nothing lost."""

from __future__ import annotations

import json
import random

import pytest

from crmsync.engine import RunBudget
from crmsync.errors import BudgetExceededError, DuplicateError, RejectedError, TransientError, UnavailableError
from crmsync.models.records import Operation, OutcomeStatus
from crmsync.protocols.provider import UnkeptJobs
from crmsync.testing.salesforce import DuplicateRule, SalesforceOrg, custom_field, row_fault
from crmsync.testing.world import FakeClock
from tests.unit.providers.salesforce.writing.conftest import KEY, Call, OpenDesk, create, delete, jobs_of, keyed, update

pytestmark = pytest.mark.anyio


def csv_of(call: Call) -> list[str]:
    """The lines of an upload."""
    return call.body.decode().splitlines()


async def test_a_job_sends_the_requests_of_the_documentation(open_desk: OpenDesk) -> None:
    """Against the examples of "Create a Job", "Upload Job Data", "Close or Abort a Job" and the pages of results."""
    async with open_desk(channel="bulk") as desk:
        [outcome] = await desk.store.write([create(1, key="k1", FirstName="A, B")])
        calls = jobs_of(desk)
    job = calls[1].path.split("/")[3]
    assert [(call.method, call.path) for call in calls] == [
        ("POST", "/jobs/ingest"),
        ("PUT", f"/jobs/ingest/{job}/batches"),
        ("PATCH", f"/jobs/ingest/{job}"),
        ("GET", f"/jobs/ingest/{job}"),
        ("GET", f"/jobs/ingest/{job}/successfulResults"),
    ]
    assert json.loads(calls[0].body) == {
        "externalIdFieldName": "MarkMail_Id__c",
        "object": "Contact",
        "contentType": "CSV",
        "operation": "upsert",
        "lineEnding": "LF",
    }
    assert calls[1].headers["Content-Type"] == "text/csv"
    assert calls[1].body == b'MarkMail_Id__c,LastName,Email,FirstName\nk1,Last 1,p1@example.com,"A, B"\n'
    assert json.loads(calls[2].body) == {"state": "UploadComplete"}
    assert outcome.status is OutcomeStatus.CREATED


async def test_every_kind_of_write_takes_effect_and_is_answered_in_order(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        ids = [desk.org.create("Contact", {"LastName": f"Old {n}", "Title": "T"}) for n in range(30)]
        known = desk.org.create("Contact", {"LastName": "Known", "MarkMail_Id__c": "key-3"})
        operations: list[Operation] = [
            *keyed(range(20)),
            *(update(record_id, Title=None) for record_id in ids[:20]),
            *(delete(record_id) for record_id in ids[20:]),
        ]
        random.Random(1).shuffle(operations)
        outcomes = await desk.store.write(operations)
    assert [outcome.op_id for outcome in outcomes] == [operation.op_id for operation in operations]
    by_op = {outcome.op_id: outcome for outcome in outcomes}
    assert (by_op["op 3"].status, by_op["op 3"].id) == (OutcomeStatus.UPDATED, known)
    assert {by_op[f"op {n}"].status for n in range(20) if n != 3} == {OutcomeStatus.CREATED}
    assert {by_op[f"op {record_id}"].status for record_id in ids[:20]} == {OutcomeStatus.UPDATED}
    assert {by_op[f"op {record_id}"].status for record_id in ids[20:]} == {OutcomeStatus.DELETED}
    assert all(outcome.stored is not None for op, outcome in by_op.items() if outcome.id in ids[:20])
    living = {record["Id"]: record for record in desk.contacts()}
    assert len(living) == 20 + 20
    assert {living[record_id]["Title"] for record_id in ids[:20]} == {None}
    assert by_op["op 7"].id in living


async def test_a_field_that_a_row_does_not_have_stays_untouched(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        ids = [desk.org.create("Contact", {"LastName": "L", "Title": "T", "Phone": "1"}) for _ in range(3)]
        operations = [update(ids[0], Title="new"), update(ids[1], Phone=None), update(ids[2], Title="", Phone="2")]
        await desk.store.write(operations)
        assert len(desk.sent.of("POST", "/jobs/ingest")) == 1
    read = [(record["Title"], record["Phone"]) for record in desk.contacts()]
    assert read == [("new", "1"), ("T", None), (None, "2")]


async def test_case_26_texts_that_csv_cannot_say_arrive_all_the_same(open_desk: OpenDesk) -> None:
    texts = ["NA", "#N/A", "null", "a\nb", "O'Brien", "=cmd", "👩‍💻"]
    async with open_desk(channel="bulk") as desk:
        outcomes = await desk.store.write([create(n, key=f"k{n}", Title=text) for n, text in enumerate(texts)])
        uploaded = csv_of(desk.sent.of("PUT", "/batches")[0])
    assert all(outcome.ok for outcome in outcomes)
    assert [record["Title"] for record in sorted(desk.contacts(), key=lambda r: r["MarkMail_Id__c"])] == texts
    assert not any("k1," in line for line in uploaded)


async def test_a_create_without_a_key_never_goes_through_a_job(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        outcomes = await desk.store.write([create(n) for n in range(3)])
        assert jobs_of(desk) == []
    assert {outcome.status for outcome in outcomes} == {OutcomeStatus.CREATED}


async def test_a_refused_row_has_the_same_error_in_both_channels(open_desk: OpenDesk) -> None:
    answers = []
    for channel in ("collections", "bulk"):
        async with open_desk(channel=channel) as desk:
            gone = desk.org.create("Contact", {"LastName": "gone"})
            desk.org.delete("Contact", gone)
            bad = [create(1, key="a", Title="x" * 200), create(3, key="c", Email="no")]
            outcomes = await desk.store.write([bad[0], create(2, key="b"), bad[1], update(gone, Title="")])
        answers.append([(o.status, type(o.error), str(o.error), getattr(o.error, "field", None)) for o in outcomes])
    assert answers[0] == answers[1]
    assert [status for status, *_ in answers[1]] == [
        OutcomeStatus.FAILED,
        OutcomeStatus.CREATED,
        OutcomeStatus.FAILED,
        OutcomeStatus.MISSING,
    ]


async def test_rows_that_a_failed_job_did_not_reach_may_be_sent_again(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        desk.org.faults.bulk.fail_next(after_records=200)
        outcomes = await desk.store.write(keyed(range(500)))
        assert len(desk.contacts()) == 200
        done = [outcome for outcome in outcomes if outcome.ok]
        assert len(done) == 200
        assert all(isinstance(outcome.error, TransientError) for outcome in outcomes if not outcome.ok)
        again = [op for op, outcome in zip(keyed(range(500)), outcomes, strict=True) if not outcome.ok]
        assert all(outcome.ok for outcome in await desk.store.write(again))
    assert len(desk.contacts()) == 500


@pytest.mark.parametrize(
    "pace, limit, batch",
    [
        ("", 100_000, 2_000),
        ('{"call": 0.3, "collection": 3.0}', 100_000, 10_000),
        ('{"call": 0.3, "collection": 0.1}', 100_000, 2_000),
        ("", 30, 10_000),
    ],
)
async def test_first_writes_are_few_until_the_pace_is_known_or_calls_are_scarce(
    open_desk: OpenDesk, pace: str, limit: int, batch: int
) -> None:
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, daily_limit=limit)
    async with open_desk(org=org, clock=clock, memory={"pace": pace}) as desk:
        assert desk.store.limits.write_batch == batch


async def test_no_job_is_made_before_it_is_certain_that_it_is_needed(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        outcomes = await desk.store.write([create(1, key="a", NoSuch__c=1), create(2, key="b", NoSuch__c=1)])
        assert not any(outcome.ok for outcome in outcomes)
        assert jobs_of(desk) == []


async def test_a_first_record_that_cannot_go_does_not_keep_the_others_from_their_job(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        outcomes = await desk.store.write([create(1, key="a", NoSuch__c=1), create(2, key="b"), create(3, key="c")])
        assert len(desk.sent.of("POST", "/jobs/ingest")) == 1
    assert [outcome.ok for outcome in outcomes] == [False, True, True]


@pytest.mark.parametrize("first", range(3))
async def test_every_verb_has_one_job_whichever_comes_first(open_desk: OpenDesk, first: int) -> None:
    async with open_desk(channel="bulk") as desk:
        ids = [desk.org.create("Contact", {"LastName": f"Old {n}"}) for n in range(2)]
        operations = [create(1, key="a"), update(ids[0], Title="T"), delete(ids[1])]
        outcomes = await desk.store.write(operations[first:] + operations[:first])
        made = [json.loads(call.body)["operation"] for call in desk.sent.of("POST", "/jobs/ingest")]
    assert sorted(made) == ["delete", "update", "upsert"]
    assert all(outcome.ok for outcome in outcomes)


@pytest.mark.parametrize("channel", ["bulk", "collections"])
async def test_without_reading_back_nothing_is_known_of_what_was_stored(open_desk: OpenDesk, channel: str) -> None:
    async with open_desk(channel=channel, read_back=False) as desk:
        [outcome] = await desk.store.write([create(1, key="a", LastName=" Trimmed ")])
        assert outcome.stored is None
        assert not desk.sent.of("POST", "/composite/sobjects/Contact")
        assert not desk.sent.of("GET", "/userinfo")
    async with open_desk(channel=channel) as desk:
        [outcome] = await desk.store.write([create(1, key="a", LastName=" Trimmed ")])
        assert outcome.stored is not None
        assert outcome.stored.fields["LastName"] == "Trimmed"


async def test_an_aborted_job_loses_nothing(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        desk.org.faults.bulk.abort_next(after_records=200)
        outcomes = await desk.store.write(keyed(range(300)))
    assert sorted(outcome.ok for outcome in outcomes) == [False] * 100 + [True] * 200
    assert all(isinstance(outcome.error, UnavailableError) for outcome in outcomes if not outcome.ok)


async def test_after_a_failed_job_auto_takes_collections(open_desk: OpenDesk) -> None:
    clock = FakeClock()
    async with open_desk(org=SalesforceOrg(clock=clock.now, daily_limit=33), clock=clock) as desk:
        desk.org.faults.bulk.fail_next()
        outcomes = await desk.store.write(keyed(range(3_000)))
        assert not any(outcome.ok for outcome in outcomes)
        desk.org.daily_limit = 100_000
        assert all(outcome.ok for outcome in await desk.store.write(keyed(range(2_000))))
    assert len(desk.sent.of("POST", "/jobs/ingest")) == 1


async def test_records_that_may_be_duplicates_never_go_through_a_job_but_deletes_do(open_desk: OpenDesk) -> None:
    """A job has no header to let them pass, so the rule that only warns would refuse them."""
    clock = FakeClock()
    org = SalesforceOrg(clock=clock.now, daily_limit=60)
    org.rules.duplicates.append(DuplicateRule(object_name="Contact", fields=["LastName"], allow=True))
    async with open_desk(org=org, clock=clock, allow_duplicates=True, collections_per_call=1) as desk:
        same = [create(number, key=f"key-{number}", LastName="Smith") for number in range(5_000)]
        outcomes = await desk.store.write(same)
        assert all(outcome.ok for outcome in outcomes)
        assert not jobs_of(desk)
        assert desk.store.limits.write_batch == 2_000
        gone = await desk.store.write([delete(outcome.id or "") for outcome in outcomes])
        assert all(outcome.ok for outcome in gone)
        assert jobs_of(desk)


async def test_an_org_that_takes_no_jobs_gets_collections_at_once(open_desk: OpenDesk) -> None:
    clock = FakeClock()
    async with open_desk(org=SalesforceOrg(clock=clock.now, daily_limit=33), clock=clock) as desk:
        refusal = [{"errorCode": "FEATURENOTENABLED", "message": "Async API not enabled"}]
        desk.org.faults.fail_next(1, status=400, body=refusal, method="POST", path="/jobs/ingest")
        outcomes = await desk.store.write(keyed(range(3_000)))
    assert all(outcome.ok for outcome in outcomes)
    assert len(desk.sent.of("POST", "/jobs/ingest")) == 1


async def test_a_job_that_takes_too_long_is_aborted_and_what_it_did_counts(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk", bulk_wait_seconds=100) as desk:
        desk.org.bulk.options = type(desk.org.bulk.options)(seconds=60, seconds_per_record=0.2)
        outcomes = await desk.store.write(keyed(range(500)))
    done = sum(outcome.ok for outcome in outcomes)
    assert 0 < done < 500
    assert len(desk.contacts()) == done


@pytest.mark.parametrize("method", ["POST", "PATCH", "GET"])
async def test_lost_answers_about_a_job_do_no_harm(open_desk: OpenDesk, method: str) -> None:
    async with open_desk(channel="bulk") as desk:
        desk.org.faults.drop_next(method=method, path="/jobs/ingest", after_commit=True)
        outcomes = await desk.store.write(keyed(range(10)))
    assert all(outcome.ok for outcome in outcomes)
    assert len(desk.contacts()) == 10


async def test_an_upload_whose_answer_was_lost_is_given_up_and_its_rows_may_be_sent_again(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        desk.org.faults.drop_next(method="PUT", path="/batches", after_commit=True)
        with pytest.raises(UnavailableError):
            await desk.store.write(keyed(range(10)))
        assert desk.contacts() == []
        assert all(outcome.ok for outcome in await desk.store.write(keyed(range(10))))
    assert len(desk.contacts()) == 10


async def test_a_job_that_cannot_be_followed_stays_noted(open_desk: OpenDesk) -> None:
    log = UnkeptJobs()
    async with open_desk(channel="bulk", lent={"jobs": log}) as desk:
        desk.org.faults.fail_next(5, status=503, method="GET", path="/jobs/ingest")
        with pytest.raises(UnavailableError):
            await desk.store.write(keyed(range(10)))
        assert len(await log.unfinished()) == 1
        await desk.store.settle_jobs()
    assert await log.unfinished() == []
    assert len(desk.contacts()) == 10


async def test_a_budget_that_does_not_cover_a_job_stops_before_it(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk", budget=RunBudget(4)) as desk:
        with pytest.raises(BudgetExceededError):
            await desk.store.write(keyed(range(10)))
        assert jobs_of(desk) == []


async def test_one_record_written_twice_is_written_in_order_in_two_jobs(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        record_id = desk.org.create("Contact", {"LastName": "L"})
        first, second = update(record_id, Title="1"), update(record_id, Title="2")
        await desk.store.write([first, second])
        assert len(desk.sent.of("POST", "/jobs/ingest")) == 2
    assert desk.contacts()[0]["Title"] == "2"


@pytest.mark.parametrize("channel", ["bulk", "collections"])
async def test_keys_that_the_org_takes_for_one_never_overwrite_each_other(open_desk: OpenDesk, channel: str) -> None:
    """Salesforce notices within 200 rows only, and nothing at all where two calls or jobs have them."""
    key_field = custom_field(KEY, "MarkMail Id", length=64, external_id=True, unique=True, case_sensitive=False)
    org = SalesforceOrg(external_id_field=False, custom_fields={"Contact": [key_field]})
    async with open_desk(org=org, channel=channel) as desk:
        rows = [create(1, key="abc"), *keyed(range(2, 402)), create(500, key="ABC"), create(501, key=" abc")]
        outcomes = await desk.store.write(rows)
    assert [outcome.ok for outcome in outcomes] == [True] * 401 + [False] * 2
    assert {type(outcome.error) for outcome in outcomes[401:]} == {DuplicateError}
    assert "abc" not in str(outcomes[401].error).casefold()
    [kept] = [record for record in desk.contacts() if record[KEY].casefold() == "abc"]
    assert kept["LastName"] == "Last 1"


async def test_keys_that_differ_in_case_are_two_records_where_the_field_tells_them_apart(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        outcomes = await desk.store.write([create(1, key="abc"), create(2, key="ABC")])
    assert [outcome.status for outcome in outcomes] == [OutcomeStatus.CREATED] * 2
    assert {record[KEY]: record["LastName"] for record in desk.contacts()} == {"abc": "Last 1", "ABC": "Last 2"}


async def test_locked_rows_of_a_job_may_be_sent_again(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        locked = row_fault("Contact", lambda row: row["LastName"] == "Last 2", "UNABLE_TO_LOCK_ROW", "locked")
        desk.org.faults.reject(locked)
        outcomes = await desk.store.write(keyed(range(3)))
    assert [outcome.ok for outcome in outcomes] == [True, True, False]
    assert isinstance(outcomes[2].error, TransientError)


async def test_a_refusal_names_no_value(open_desk: OpenDesk) -> None:
    async with open_desk(channel="bulk") as desk:
        desk.org.faults.reject(
            row_fault("Contact", lambda _: True, "INVALID_EMAIL_ADDRESS", "secret-value: bad", "Email")
        )
        [outcome] = await desk.store.write(keyed([1]))
    assert isinstance(outcome.error, RejectedError)
    assert outcome.error.field == "Email"
    assert "secret-value" not in str(outcome.error)
