"""The Salesforce CLI's verbs as coroutines, for programs that reach an org by it alone.

Single records go through ``api request rest``: ``data create record`` knows no null and no value with both kinds of
quotes. What many records need goes through one bulk job, whose results are matched by our key column, never by order.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import attrs
from pydantic import SecretStr

from crmsync.errors import ConversionError, CRMError, UnavailableError, UnexpectedResponseError
from crmsync.providers.salesforce import soql
from crmsync.providers.salesforce.bulk.csv_text import carries, columns_of, encode, gathered
from crmsync.providers.salesforce.errors import call_error, row_error
from crmsync.providers.salesforce.ids import full_id
from crmsync.providers.salesforce.settings import SalesforceSettings
from crmsync.providers.salesforce.sf import requests
from crmsync.providers.salesforce.sf.handful import Handful
from crmsync.providers.salesforce.sf.process import SfProcess, open_sf
from crmsync.providers.salesforce.sf.transport import environment_of
from crmsync.providers.salesforce.writing.job_results import parse_error

Values = Mapping[str, object]
_MANY: Final = "upsert_bulk() and its like, with many rows"
_RECORD_FAULTS: Final = (400, 404)


@attrs.frozen(slots=True)
class BulkRow:
    """What became of one row of a bulk job; ``error`` None: it took effect."""

    id: str | None = None
    created: bool = False
    error: CRMError | None = None


class SfCommandClient:
    """Runs commands against one org. Safe for concurrent calls.

    Failures are the errors of `crmsync.errors` that they are over HTTP. No more than a handful of single records in a
    row are let through (`ConfigurationError`), whatever is queried in between: the bulk verbs take any number.
    """

    def __init__(self, sf: SfProcess, api_version: str) -> None:
        self._sf = sf
        self._path = f"/services/data/v{api_version}/sobjects"
        self._handful = Handful()

    async def query(self, statement: str, *, deleted: bool = False) -> list[dict[str, Any]]:
        """The rows of a query, up to the CLI's 50,000; ``deleted`` includes the recycle bin.

        :raises UnexpectedResponseError: there are more; `export_bulk` takes them.
        """
        async with self._file(statement.encode()) as name:
            result = await self._sf.call("data", "query", "--file", name, *(["--all-rows"] if deleted else []))
        try:
            records, total = list(result["records"]), int(result["totalSize"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnexpectedResponseError("the CLI's answer to a query is not as documented") from error
        if records and len(records) < total:
            raise UnexpectedResponseError(f"the query has {total} rows, more than the CLI reads; export them in bulk")
        return records

    async def describe(self, object_name: str) -> Mapping[str, Any]:
        """An object's describe, as the org gives it."""
        result: Mapping[str, Any] = await self._sf.call("sobject", "describe", "--sobject", soql.name(object_name))
        return result

    async def limits(self) -> Mapping[str, tuple[int, int]]:
        """What the org allows and what remains of it, by the limit's name."""
        listed = await self._sf.call("org", "list", "limits")
        return {entry["name"]: (int(entry["max"]), int(entry["remaining"])) for entry in listed}

    async def create(self, object_name: str, values: Values) -> str:
        """Create a record and return its id. Never sent twice: a lost answer raises.

        :raises RecordError: the org refuses it.
        """
        answer = await self._single("POST", object_name, values)
        found = full_id(str(answer.get("id")))
        if found is None:
            raise UnexpectedResponseError("the org did not tell the id of the record it created")
        return found

    async def update(self, object_name: str, record_id: str, values: Values) -> None:
        """Change a record; None clears a field.

        :raises RecordError: the org refuses it, or has no such record.
        """
        await self._single("PATCH", f"{object_name}/{_checked(record_id)}", values)

    async def delete(self, object_name: str, record_id: str) -> None:
        """Move a record to the recycle bin.

        :raises RecordError: the org refuses it, or has no such record.
        """
        await self._single("DELETE", f"{object_name}/{_checked(record_id)}", {})

    async def upsert_bulk(self, object_name: str, key: str, rows: Sequence[Values]) -> list[BulkRow]:
        """Create or change records by an external id; what became of each row, in order.

        :raises ValueError: a row has no key, or two have the same.
        """
        return await self._bulk("upsert", object_name, key, rows, "--external-id", soql.name(key))

    async def update_bulk(self, object_name: str, rows: Sequence[Values]) -> list[BulkRow]:
        """Change records by their ``Id``; what became of each row, in order.

        :raises ValueError: a row has no id, or two have the same.
        """
        return await self._bulk("update", object_name, "Id", rows)

    async def delete_bulk(self, object_name: str, ids: Sequence[str]) -> list[BulkRow]:
        """Move records to the recycle bin; what became of each, in order.

        :raises ValueError: an id comes twice.
        """
        return await self._bulk("delete", object_name, "Id", [{"Id": record_id} for record_id in ids])

    async def export_bulk(self, statement: str) -> list[dict[str, str]]:
        """The rows of a query of any size, as text; null and blank are both the empty text, as Salesforce exports."""
        self._handful.take_all(0, _MANY)
        async with self._file(statement.encode()) as query, self._file(b"") as output:
            wait = ("--output-file", output, *self._wait())
            await self._sf.call("data", "export", "bulk", "--query-file", query, *wait, time_limit=self._longest())
            return await self._rows(output)

    async def _single(self, method: str, path: str, values: Values) -> Mapping[str, Any]:
        self._handful.take(_MANY)
        body = json.dumps(dict(values)).encode() if values else b""
        headers = {"Content-Type": "application/json"}
        answer = await requests.send(self._sf, method, f"{self._path}/{path}", headers=headers, body=body)
        parsed = json.loads(answer.body) if answer.body.strip() and answer.status < 500 else None  # noqa: PLR2004 - HTML
        if answer.status in _RECORD_FAULTS and isinstance(parsed, list):
            raise row_error(parsed, values.values())
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's successes
            raise call_error(answer.status, answer.body)
        return parsed if isinstance(parsed, Mapping) else {}

    async def _bulk(self, verb: str, object_name: str, key: str, rows: Sequence[Values], *more: str) -> list[BulkRow]:
        self._handful.take_all(len(rows), _MANY)
        keys = [str(row.get(key) or "") for row in rows]
        if not all(keys) or len(set(keys)) < len(keys):
            raise ValueError(f"each row needs a {key} of its own")
        carried = {name: row for name, row in zip(keys, rows, strict=True) if carries(row)}
        results = await self._job(verb, object_name, key, carried, *more) if carried else {}
        unfit = BulkRow(error=ConversionError("a value of the record cannot be said in CSV; save it by itself"))
        skipped = BulkRow(error=UnavailableError("the bulk job ended before it came to the record"))
        return [results.get(name, skipped) if name in carried else unfit for name in keys]

    async def _job(
        self, verb: str, object_name: str, key: str, rows: Mapping[str, Values], *more: str
    ) -> dict[str, BulkRow]:
        text = b"".join(gathered(encode(rows.values(), columns_of(rows.values(), key))))
        async with self._file(text) as file:
            arguments = (
                "--sobject",
                soql.name(object_name),
                "--file",
                file,
                "--line-ending",
                "LF",
                *self._wait(),
                *more,
            )
            report = await self._sf.run("data", verb, "bulk", *arguments, time_limit=self._longest())
        if not report.ok and report.name != "FailedRecordDetailsError":
            raise report.error()
        told = report.result if report.ok else report.body.get("data")
        job = told.get("jobId") or told.get("jobInfo", {}).get("id") if isinstance(told, Mapping) else None
        if not isinstance(job, str):
            raise UnexpectedResponseError("the CLI did not tell the id of the bulk job")
        # With a row that failed the command tells of none of them; its results are in files of their own.
        files = await self._sf.call("data", "bulk", "results", "--job-id", job)
        results: dict[str, BulkRow] = {}
        for row in await self._rows(files.get("successFilePath")):
            results[row.get(key) or row["sf__Id"]] = BulkRow(full_id(row["sf__Id"]), row["sf__Created"] == "true")
        for row in await self._rows(files.get("failedFilePath")):
            sent = rows.get(row.get(key, ""), {}).values()
            error = row_error([parse_error(row["sf__Error"])], sent)
            results[row.get(key, "")] = BulkRow(full_id(row["sf__Id"]), error=error)
        return results

    async def _rows(self, name: str | None) -> list[dict[str, str]]:
        """The rows of a CSV file of the working directory, which is then removed."""
        if not name:
            return []
        file = anyio.Path(self._sf.directory / name)
        try:
            text = await file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UnexpectedResponseError("the CLI wrote no file of results") from error
        await file.unlink()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def _wait(self) -> Iterable[str]:
        return ("--wait", str(self._minutes()))

    def _minutes(self) -> int:
        return max(1, int(self._sf.time_limit // 60))

    def _longest(self) -> float:
        """The command itself says when it has waited in vain, so it gets a minute more."""
        return (self._minutes() + 1) * 60.0

    @asynccontextmanager
    async def _file(self, content: bytes) -> AsyncIterator[str]:
        """A private file: arguments are seen by every user of the machine."""
        file = anyio.Path(self._sf.directory / uuid.uuid4().hex)
        try:
            await file.write_bytes(content)
            yield file.name
        finally:
            with anyio.CancelScope(shield=True):
                await file.unlink(missing_ok=True)


def _checked(record_id: str) -> str:
    found = full_id(record_id)
    if found is None:
        raise ValueError("not the id of a record")
    return found


@asynccontextmanager
async def open_command_client(
    settings: SalesforceSettings, access_token: SecretStr | None = None
) -> AsyncIterator[SfCommandClient]:
    """A client of the org that ``sf.org`` of the settings names, or that ``instance_url`` and the token are for.

    :raises ConfigurationError: the CLI is not there, or its home directory cannot be used.
    """
    environment = environment_of(settings, access_token)
    async with open_sf(settings.sf, environment) as sf:
        yield SfCommandClient(sf, environment["SF_ORG_API_VERSION"])
