"""The results of a query job, in order: pages are fetched a few at a time and wait in files.

"Get Parallel Results for a Query Job", Bulk API 2.0 and Bulk API Developer Guide: the org says where each page begins,
and how large it is. The engine may take minutes over the records of a page, so no connection is kept open meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import anyio
import attrs
from anyio import SpooledTemporaryFile

from crmsync.errors import CRMError, UnavailableError, UnexpectedResponseError
from crmsync.providers.salesforce.bulk.csv_text import CsvReader
from crmsync.providers.salesforce.client import SalesforceClient
from crmsync.providers.salesforce.together import together

AHEAD: Final = 3
"""Pages that are fetched side by side, of one job or of several, and at most kept."""
_IN_MEMORY: Final = 4 << 20
"""Bytes of a page that are kept in memory; of a larger one all goes into an unnamed temporary file."""
_PIECE: Final = 256 << 10


class LoadLostError(Exception):
    """The job cannot give the rest of its results. ``again``: another job may."""

    def __init__(self, reason: str, *, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


class ResultPage:
    """One page of results, read row by row. ``taken`` of its ``records`` were given out."""

    def __init__(self, file: SpooledTemporaryFile[bytes], records: int) -> None:
        self.records = records
        self.taken = 0
        self._file = file
        self._reader = CsvReader()
        self._rows: list[list[str]] = []
        self._ended = False

    @property
    def header(self) -> list[str]:
        """The names of the columns, once a row was taken."""
        return self._reader.header

    async def move(self, place: int) -> None:
        """Go on after so many records."""
        if place < self.taken:
            await self._file.seek(0)
            self._reader, self._rows, self._ended, self.taken = CsvReader(), [], False, 0
        while self.taken < min(place, self.records):
            await self.take(min(place - self.taken, 10_000))

    async def take(self, most: int) -> list[list[str]]:
        """The next rows.

        :raises UnexpectedResponseError: it is no CSV, or has other than the announced number of rows.
        """
        while len(self._rows) < most and not self._ended:
            piece = await self._file.read(_PIECE)
            self._ended = not piece
            self._rows += self._reader.feed(piece) if piece else self._reader.close()
        taken, self._rows = self._rows[:most], self._rows[most:]
        self.taken += len(taken)
        if self._ended and not self._rows and self.taken != self.records:
            raise UnexpectedResponseError(f"a page of results has {self.taken} rows and not {self.records}")
        return taken

    async def aclose(self) -> None:
        """Drop the file."""
        await self._file.aclose()


@attrs.frozen(slots=True)
class Taken:
    """Rows, and the place after them: a page's locator, and how many of its records are before the place."""

    header: list[str]
    rows: list[list[str]] = attrs.field(repr=False)
    locator: str | None
    skip: int
    done: bool


class JobResults:
    """The results of one query job that is complete. Safe for concurrent calls."""

    def __init__(self, client: SalesforceClient, job_id: str, version: str) -> None:
        self._client = client
        self._path = f"/jobs/query/{job_id}/results"
        self._more: str | None = f"/services/data/v{version}/jobs/query/{job_id}/resultPages"
        self._locators: list[str] = []
        self._pages: dict[int, ResultPage] = {}
        self._lock = anyio.Lock()

    @property
    def pages_known(self) -> int:
        """How many pages there are, as far as they were listed."""
        return len(self._locators)

    async def list_pages(self) -> None:
        """Ask which pages there are."""
        async with self._lock:
            await self._is_known(0)

    async def take(self, locator: str | None, skip: int, most: int, following: Sequence[JobResults] = ()) -> Taken:
        """Up to ``most`` rows from a place on; fewer at the end of a page. Where fewer than `AHEAD` pages are left to
        fetch, the first ones of the ``following`` results are fetched beside them.

        :raises LoadLostError: the job has no such place.
        """
        async with self._lock:
            index = await self._index(locator)
            if index is None:
                return Taken([], [], locator, skip, done=True)
            page = await self._page(index, following)
            await page.move(skip)
            rows = await page.take(most)
            if page.taken < page.records:
                return Taken(page.header, rows, self._locators[index], page.taken, done=False)
            if await self._is_known(index + 1):
                return Taken(page.header, rows, self._locators[index + 1], 0, done=False)
            return Taken(page.header, rows, self._locators[index], page.taken, done=True)

    async def aclose(self) -> None:
        """Drop what was fetched, once nobody reads it."""
        async with self._lock:
            await self._clear()

    async def _clear(self) -> None:
        for index in list(self._pages):
            await self._pages.pop(index).aclose()

    async def _index(self, locator: str | None) -> int | None:
        """The number of a page; None if there is none at all."""
        if locator is None:
            return 0 if await self._is_known(0) else None
        while locator not in self._locators:
            if not await self._is_known(len(self._locators)):
                raise LoadLostError("the results of the job are not where they were")
        return self._locators.index(locator)

    async def _is_known(self, index: int) -> bool:
        while index >= len(self._locators) and self._more is not None:
            answer = await self._client.send("GET", self._more, repeatable=True)
            locators, self._more = _listed(answer.body)
            self._locators += locators
        return index < len(self._locators)

    async def _page(self, index: int, following: Sequence[JobResults]) -> ResultPage:
        if index not in self._pages:
            await self._clear()
            await self._is_known(index + AHEAD - 1)
            numbers = range(index, min(index + AHEAD, len(self._locators)))
            room, beside = AHEAD - len(numbers), []
            for other in following:
                if room <= 0:
                    break
                beside.append(partial(other.fetch_first, room))
                room -= other.pages_known
            await together([*(partial(self._fetch, number) for number in numbers), *beside])
        return self._pages[index]

    async def fetch_first(self, most: int) -> None:
        """Fetch so many of the first pages ahead, if none is there yet. What cannot be had is asked for again in its
        turn.
        """
        async with self._lock:
            if self._pages:
                return
            try:
                await together([partial(self._fetch, number) for number in range(len(self._locators))[:most]])
            except CRMError:
                return

    async def _fetch(self, number: int) -> None:
        self._pages[number] = await self._client.download(self._path, _keep, params={"locator": self._locators[number]})


async def _keep(headers: Mapping[str, str], pieces: AsyncIterator[bytes]) -> ResultPage:
    try:
        records = int(headers["Sforce-NumberOfRecords"])
    except (KeyError, ValueError):
        raise UnexpectedResponseError("a page of results does not say how many records it has") from None
    file = SpooledTemporaryFile[bytes](max_size=_IN_MEMORY)
    try:
        async for piece in pieces:
            await _write(file, piece)
        await file.seek(0)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await file.aclose()
        raise
    return ResultPage(file, records)


async def _write(file: SpooledTemporaryFile[bytes], piece: bytes) -> None:
    try:
        await file.write(piece)
    except OSError as error:
        raise UnavailableError(f"there is no room to keep a page of results: {error.strerror}") from None


def _listed(body: Any) -> tuple[list[str], str | None]:
    """The locators in a list of pages, and where the list goes on."""
    try:
        locators = [parse_qs(urlsplit(entry["resultUrl"]).query)["locator"][0] for entry in body["resultPages"]]
        # The page's table says nextRecordUrl, its example nextRecordsUrl.
        more = body.get("nextRecordsUrl") or body.get("nextRecordUrl")
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UnexpectedResponseError("Salesforce's list of result pages is not as documented") from error
    if more is not None and (not isinstance(more, str) or not more.startswith("/services/data/") or not locators):
        raise UnexpectedResponseError("Salesforce's list of result pages does not say where it goes on")
    return locators, more
