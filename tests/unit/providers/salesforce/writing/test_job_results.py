"""What a job's files of results say of its rows, whatever a server answers."""

from __future__ import annotations

import attrs
import httpx2
import pytest

from crmsync.errors import UnavailableError
from crmsync.models.records import OutcomeStatus
from crmsync.providers.salesforce.bulk.jobs import INGEST, JOB_COMPLETE, JobInfo, Jobs
from crmsync.providers.salesforce.writing.job_results import JobResults, parse_error
from crmsync.providers.salesforce.writing.outcomes import Sent
from crmsync.providers.salesforce.writing.rows import Row, Verb
from tests.unit.providers.salesforce.conftest import Connect, Line, answer, error

pytestmark = pytest.mark.anyio

JOB = "7505e0000000001AAA"
KEY = "MarkMail_Id__c"
HEAD = f"sf__Id,sf__Created,{KEY},LastName\n"


@attrs.frozen
class Two:
    """The results of a job with the rows ``a`` and ``b``."""

    results: JobResults
    sent: Sent
    line: Line

    @property
    def asked(self) -> list[str]:
        """The files that were asked for."""
        return [path.rpartition("/")[2] for path in self.line.paths]


def two(line: Line) -> Two:
    sent = Sent()
    rows = [Row(n, f"op {n}", Verb.UPSERT, f"key {key}", "", None, {KEY: key}) for n, key in enumerate("ab")]
    return Two(JobResults(Jobs(line.client, INGEST), Verb.UPSERT, KEY, rows, sent), sent, line)


def succeeded(*keys: str) -> httpx2.Response:
    """A file of successes, as documented in "Get Job Successful Record Results"."""
    lines = (f'"0035e00000000{ord(key)}AAA","true","{key}","Last"\n' for key in keys)
    return answer(200, (HEAD + "".join(lines)).encode())


async def test_successes_of_every_row_leave_nothing_to_learn(connect: Connect) -> None:
    async with connect([succeeded("b", "a")]) as line:
        job = two(line)
        assert await job.results.all_succeeded(JOB)
        await job.results.collect(JobInfo(JOB, JOB_COMPLETE, 2))
    assert [job.sent.outcomes[n].id for n in range(2)] == ["0035e0000000097AAA", "0035e0000000098AAA"]
    assert {outcome.status for outcome in job.sent.outcomes.values()} == {OutcomeStatus.CREATED}
    assert job.asked == ["successfulResults"]


async def test_a_file_that_is_not_whole_yet_proves_nothing_and_is_read_again(connect: Connect) -> None:
    async with connect([succeeded("b"), succeeded("b", "a")]) as line:
        job = two(line)
        assert not await job.results.all_succeeded(JOB)
        await job.results.collect(JobInfo(JOB, JOB_COMPLETE, 2))
    assert all(outcome.ok for outcome in job.sent.outcomes.values())
    assert job.asked == ["successfulResults"] * 2


async def test_successes_are_not_read_again_where_the_rows_that_are_left_are_those_that_failed(
    connect: Connect,
) -> None:
    failed = f'sf__Id,sf__Error,{KEY}\n"","REQUIRED_FIELD_MISSING:Required:LastName --","a"\n'
    async with connect([succeeded("b"), answer(200, failed.encode())]) as line:
        job = two(line)
        assert not await job.results.all_succeeded(JOB)
        await job.results.collect(JobInfo(JOB, JOB_COMPLETE, 2, failed=1))
    assert [job.sent.outcomes[n].ok for n in range(2)] == [False, True]
    assert job.asked == ["successfulResults", "failedResults"]


@pytest.mark.parametrize(
    "refusal",
    [
        error(400, "INVALIDJOBSTATE"),
        error(404, "NOT_FOUND"),
        error(409, "CONFLICT"),
        answer(200, f'{HEAD}"0035e0000000001AAA","true","a"'.encode()),
        answer(200, b'sf__Id,sf__Created\n"0035'),
        answer(200, b""),
    ],
    ids=["no state for results", "no file", "conflict", "a row cut off", "a cell cut off", "an empty file"],
)
async def test_an_answer_that_is_no_file_of_results_means_that_the_job_is_not_over(
    connect: Connect, refusal: httpx2.Response
) -> None:
    async with connect([refusal]) as line:
        job = two(line)
        assert not await job.results.all_succeeded(JOB)
    assert not job.sent.outcomes


async def test_an_org_that_cannot_be_asked_is_no_answer(connect: Connect) -> None:
    async with connect([error(503, "SERVER_UNAVAILABLE")] * 5) as line:
        with pytest.raises(UnavailableError):
            await two(line).results.all_succeeded(JOB)


@pytest.mark.parametrize(
    "text, code, fields",
    [
        ("INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--", "INVALID_CROSS_REFERENCE_KEY", []),
        (
            "REQUIRED_FIELD_MISSING:Required: [LastName]:LastName --",
            "REQUIRED_FIELD_MISSING",
            ["LastName"],
        ),
        ("STRING_TOO_LONG:a:b:c:A__c,B --", "STRING_TOO_LONG", ["A__c", "B"]),
        ("UNKNOWN", "UNKNOWN", []),
        ("", "", []),
    ],
)
def test_the_errors_of_rows_are_taken_apart(text: str, code: str, fields: list[str]) -> None:
    parsed = parse_error(text)
    assert (parsed["statusCode"], parsed["fields"]) == (code, fields)
