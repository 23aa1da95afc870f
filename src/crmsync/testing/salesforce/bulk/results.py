"""The results of jobs as clients download them."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import islice
from typing import TYPE_CHECKING, Final

from attrs import frozen

from crmsync.testing.salesforce.bulk.csv_text import UnreadableCsvError
from crmsync.testing.salesforce.bulk.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crmsync.testing.salesforce.bulk.jobs import IngestJob, QueryJob

#: "Get Results for a Query Job": up to v48.0 a locator is a number, later a string that looks random.
FIRST_VERSION_WITH_TEXT_LOCATORS: Final = 49.0


def successful(job: IngestJob) -> str:
    """Return the records that were saved: their ids, whether they were created, and the data sent."""
    return _text(job, '"sf__Created"', job.successes)


def failed(job: IngestJob) -> str:
    """Return the records that were refused: their ids as far as known, the errors, and the data sent."""
    return _text(job, '"sf__Error"', job.failures)


def unprocessed(job: IngestJob) -> str:
    """Return the records that the job did not come to, as they were sent."""
    dialect = job.dialect
    lines = [dialect.plain(job.header)] if job.header else []
    if job.data is not None:
        try:
            rows = dialect.rows(job.data)
            lines = [dialect.plain(next(rows, []))]
            lines += [dialect.plain(row) for row in islice(rows, job.processed, None)]
        except UnreadableCsvError:
            # What cannot be read cannot be given back.
            pass
    return "".join(line + dialect.end for line in lines)


def _text(job: IngestJob, own_column: str, rows: Sequence[str]) -> str:
    dialect = job.dialect
    # The job's own columns are quoted, the client's are as they were sent, as recorded.
    header = dialect.delimiter.join(['"sf__Id"', own_column, *(dialect.plain([cell]) for cell in job.result_columns)])
    # "The order of records in the response is not guaranteed": clients that count on it shall notice.
    return "".join(line + dialect.end for line in [header, *reversed(rows)])


@frozen
class Page:
    """A page of query results. ``next_locator`` is ``None`` on the last one."""

    text: str
    count: int
    next_locator: str | None


def page(job: QueryJob, locator: str | None, size: int) -> Page:
    """Return the results from a locator on, or from the first.

    :raises CallError: the locator is none.
    """
    start = place_of(job, locator)
    rows = job.rows[start : start + size]
    end = job.dialect.end
    text = "".join(line + end for line in [job.header, *rows])
    more = start + size < len(job.rows)
    return Page(text, len(rows), locator_of(job, start + size) if more else None)


def locator_of(job: QueryJob, start: int) -> str:
    """Return the locator of the results from a record on. It is the same as long as the job exists."""
    if float(job.version) < FIRST_VERSION_WITH_TEXT_LOCATORS:
        return str(start)
    return urlsafe_b64encode(str(start).encode()).decode().rstrip("=")


def place_of(job: QueryJob, locator: str | None) -> int:
    """Return the place of the first record that a locator means.

    :raises CallError: the locator is none.
    """
    if locator is None:
        return 0
    text = locator
    if float(job.version) >= FIRST_VERSION_WITH_TEXT_LOCATORS:
        try:
            text = urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode("ascii")
        except (binascii.Error, ValueError):
            text = ""
    if not text.isdecimal() or int(text) > len(job.rows):
        raise refusal("INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(text)
