"""An httpx2 transport to an emulator in the same process, on any event loop. Extra ``salesforce``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.errors import MissingExtraError

try:
    import httpx2
except ModuleNotFoundError as error:
    if error.name == "httpx2":
        raise MissingExtraError("the in-process transport", "salesforce") from error
    raise

from crmsync.testing.salesforce.app import create_app
from crmsync.testing.salesforce.faults import ConnectionDroppedError

if TYPE_CHECKING:
    from crmsync.testing.salesforce.org import SalesforceOrg


class InProcessTransport(httpx2.AsyncBaseTransport):
    """Answers an ``httpx2.AsyncClient``, whatever the host of its URLs, from an org in this process.

    A connection that the emulator drops is ``httpx2.RemoteProtocolError``, as on a socket.
    """

    def __init__(self, org: SalesforceOrg, *, control: bool = False) -> None:
        self._inner = httpx2.ASGITransport(app=create_app(org, control=control))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        try:
            return await self._inner.handle_async_request(request)
        except ConnectionDroppedError as error:
            message = "Server disconnected without sending a response."
            raise httpx2.RemoteProtocolError(message, request=request) from error
