"""HTTP requests that the Salesforce CLI makes in our place: ``sf api request rest``.

The CLI signs in, renews its session and adds its ``Authorization``; all else is ours. A request costs a process (about
a second) and calls of the CLI's own (measured): one that renews the session, and two queries for the Organization where
it is given a token, and so knows nothing of the org. Arguments are seen by every user of the machine, so what holds
values of records goes through a file in a private directory: the URL of a GET, which may be a query, and every body,
which is sent byte for byte.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

import anyio
import attrs

from crmsync.errors import UnexpectedResponseError
from crmsync.providers.salesforce.sf.process import SfProcess

CALLS_BY_LOGIN: Final = 2
"""API calls that a request takes by a login that the CLI has stored, the CLI's own among them."""
CALLS_BY_TOKEN: Final = 4
"""API calls that a request takes by a token, the CLI's own among them."""
_COMMAND: Final = ("api", "request", "rest")


@attrs.frozen(slots=True)
class CliAnswer:
    """An answer of the org, a success or not. The CLI has parsed JSON, so numbers have a double's precision."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)


async def send(
    sf: SfProcess, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> CliAnswer:
    """Send a request to the org that the process is set up for. ``path`` begins with ``/services/``.

    :raises ProviderError: the CLI got no answer; whether the request took effect is then unknown.
    """
    file = anyio.Path(sf.directory / uuid.uuid4().hex)
    try:
        if method == "GET":
            head = [{"key": name, "value": value} for name, value in (headers or {}).items()]
            await file.write_text(json.dumps({"url": path, "method": method, "header": head}), encoding="utf-8")
            report = await sf.run(*_COMMAND, "--file", file.name)
        else:
            await file.write_bytes(body or b"")
            head_arguments = [f"--header={name}:{value}" for name, value in (headers or {}).items()]
            report = await sf.run(*_COMMAND, path, "--method", method, *head_arguments, "--body", f"@{file.name}")
    finally:
        with anyio.CancelScope(shield=True):
            await file.unlink(missing_ok=True)
    if isinstance(report.result, Mapping) and report.result.get("statusCode"):
        return _answer(report.result)
    if not report.ok:
        raise report.error()
    raise UnexpectedResponseError("the Salesforce CLI did not tell what the org answered")


def _answer(result: Mapping[str, Any]) -> CliAnswer:
    try:
        status = int(result["statusCode"])
        headers = {name: value for name, value in result["headers"].items() if isinstance(value, str)}
        body = result["body"]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnexpectedResponseError("the Salesforce CLI did not tell what the org answered") from None
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return CliAnswer(status, headers, text.encode())
