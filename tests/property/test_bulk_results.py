"""Whatever rows a bulk job is given and wherever it stops: its three results together are the rows that were sent."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crmsync.testing.salesforce import SalesforceOrg
from crmsync.testing.salesforce.bulk import results
from crmsync.testing.salesforce.bulk.csv_text import DELIMITERS, LINE_ENDINGS, Dialect
from crmsync.testing.salesforce.bulk.jobs import OPEN, IngestJob
from crmsync.testing.salesforce.bulk.settling import settle

START = datetime(2026, 11, 24, tzinfo=UTC)
HEADER = ["LastName", "Description"]
# Delimiters, quotes, ends of lines and formulas; surrogates are no UTF-8.
TEXT = st.text(st.sampled_from('a",;^|`\t\n\r =#') | st.characters(exclude_categories=["Cs"]), max_size=8)
# A row without a last name is refused, one with an empty first value is not a blank line.
ROWS = st.lists(st.tuples(st.sampled_from(["", "Doe", '"']), TEXT.filter(bool)), max_size=12)


def read(text: str, dialect: Dialect) -> list[list[str]]:
    """Return the rows of a result without its header."""
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter))[1:]


@given(
    rows=ROWS,
    delimiter=st.sampled_from(sorted(DELIMITERS)),
    line_ending=st.sampled_from(sorted(LINE_ENDINGS)),
    stop=st.integers(0, 12),
)
def test_successes_failures_and_unprocessed_rows_are_what_was_sent(
    rows: list[tuple[str, str]], delimiter: str, line_ending: str, stop: int
) -> None:
    org = SalesforceOrg(clock=lambda: START)
    dialect = Dialect(delimiter, line_ending)
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=dialect.delimiter, lineterminator=dialect.end, quoting=csv.QUOTE_ALL)
    writer.writerows([HEADER, *rows])
    job = IngestJob(
        id=org.bulk.next_id(),
        operation="insert",
        object_name="Contact",
        version="68.0",
        created_by=org.user_id,
        created_at=START,
        modified_at=START,
        dialect=dialect,
        state=OPEN,
        data=stream.getvalue().encode(),
    )
    org.bulk.ingest[job.id] = job
    org.faults.bulk.fail_next(after_records=stop)
    org.bulk.close(job, START, org.faults.bulk.take())
    org.advance(timedelta(days=1).total_seconds())
    settle(org)

    successes = read(results.successful(job), dialect)
    failures = read(results.failed(job), dialect)
    unprocessed = read(results.unprocessed(job), dialect)
    assert Counter(map(tuple, [*(row[2:] for row in successes + failures), *unprocessed])) == Counter(rows)
    assert job.processed == len(successes) + len(failures) == min(stop, len(rows))
    assert job.failed == len(failures)
    assert len(org.records("Contact")) == len(successes)
