"""The emulator's control API: filling it and editing it as another user, past the CRM's own API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

import anyio.to_thread

from crmsync.cli.output import plain
from crmsync.errors import CRMError

_TIMEOUT: Final = 120.0
#: Calls whose refusals say only what was wrong with the call.
_QUOTED: Final = frozenset({"faults", "state", "rules", "permissions", "oauth"})
ADMINISTERED: Final[Mapping[str, str]] = {
    "convert": "records/convert",
    "delete": "records/delete",
    "merge": "records/merge",
    "oauth": "oauth",
    "permissions": "permissions",
    "rules": "rules",
    "save": "records",
    "undelete": "records/undelete",
}
"""What people do in the org's own pages, by name; its path of the control API."""


class EmulatorControlError(CRMError):
    """The emulator refused a control call, or did not answer it."""


class EmulatorControl:
    """Speaks to a running emulator. A plain connection to loopback: no proxy of the environment is in between."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    async def save(self, object_name: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Create records, or change those with an ``Id``, as another user; return their ids in order."""
        answer = await self._call("POST", "records", {"object": object_name, "records": list(records)})
        return cast("list[str]", answer["ids"])

    async def delete(self, object_name: str, ids: Sequence[str]) -> None:
        """Move records to the recycle bin as another user."""
        await self._call("POST", "records/delete", {"object": object_name, "ids": list(ids)})

    async def read(self, object_name: str) -> list[dict[str, Any]]:
        """Every live record, all fields."""
        answer = await self._call("POST", "records/read", {"object": object_name})
        return cast("list[dict[str, Any]]", answer["records"])

    async def advance(self, seconds: float) -> None:
        """Set the emulated clock forward."""
        await self._call("POST", "advance", {"seconds": seconds})

    async def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Switch faults on, by their names."""
        await self._call("POST", "faults", faults)

    async def administer(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Do one of `ADMINISTERED`, and return what the emulator says of it."""
        return await self._call("POST", ADMINISTERED[name], body)

    async def dump(self) -> dict[str, Any]:
        """The whole org."""
        return await self._call("GET", "state", None)

    async def load(self, state: Mapping[str, Any]) -> None:
        """Replace the whole org by a dumped one."""
        await self._call("PUT", "state", state)

    async def api_calls(self) -> int:
        """How many calls of the CRM's API were made so far, as the CRM counts them."""
        return int((await self._call("GET", "", None))["api_calls"])

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        return await anyio.to_thread.run_sync(self._call_sync, method, path, body)

    def _call_sync(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/__emulator__/{path}".rstrip("/"), text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EmulatorControlError(f"the emulator at {self._address} does not answer") from error
        finally:
            connection.close()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise EmulatorControlError(_refusal(method, path, answer))
        return cast("dict[str, Any]", answer)


def _refusal(method: str, path: str, answer: Any) -> str:
    """The message of a refused call, with the emulator's reason unless that may quote a record's values."""
    if path in _QUOTED and isinstance(answer, dict):
        reason = str(answer.get("error")).partition(": ")[2]
        return f"the emulator refused: {plain(reason)}"
    return f"the emulator refused {method} {path or 'status'}"
