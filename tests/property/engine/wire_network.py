"""What a history's processes talk through: a network with incidents, and a feed between the provider and the engine."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
from pydantic import SecretStr

from crmsync.models.mappings import ObjectMapping
from crmsync.models.problems import Problem
from crmsync.protocols.provider import CRMProvider, ProviderContext, ProviderFactory
from crmsync.protocols.records import RecordStore
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.providers.salesforce.provider import SalesforceProvider
from crmsync.registry import Registry
from crmsync.testing.faults import Crash
from tests.property.engine.feed import Fed, Feed
from tests.property.engine.job_troubles import CRASH_AFTER, CRASH_BEFORE, JobTrouble
from tests.property.engine.sites import Conditions
from tests.property.engine.wire_days import Calls

_CERTIFICATES = ssl.create_default_context()
"""They take longer to read than a run: all share them."""


class _Network(httpx2.AsyncBaseTransport):
    """The real one, with the incidents of a process, which may end at a call of a job."""

    def __init__(self, calls: Calls, trouble: object) -> None:
        self._calls = calls
        self._trouble = trouble if isinstance(trouble, JobTrouble) else None
        self._inner = httpx2.AsyncHTTPTransport(verify=_CERTIFICATES)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        call = request.method, request.url.path
        if self._trouble and self._trouble.ends(CRASH_BEFORE, *call):
            raise Crash
        answer = await self._calls.send(request, self._inner.handle_async_request)
        if self._trouble and self._trouble.ends(CRASH_AFTER, *call):
            await answer.aclose()
            raise Crash
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


class _FedProvider:
    """A provider whose record stores deliver their changes by a feed."""

    def __init__(self, provider: SalesforceProvider, conditions: Conditions) -> None:
        self._provider, self._conditions = provider, conditions

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._provider, attribute)

    async def records(self, object_name: str) -> RecordStore:
        return cast("RecordStore", Fed(await self._provider.records(object_name), Feed(self._conditions)))

    async def advice(self, object_name: str, written: Collection[str]) -> Sequence[Problem]:
        # By a name of its own it is seen by whoever asks for what this can do.
        return await self._provider.advice(object_name, written)


class _FedFactory:
    """Salesforce over a network, and by a feed."""

    name = SalesforceProviderFactory.name

    def __init__(self, network: _Network, conditions: Conditions) -> None:
        self._factory, self._conditions = SalesforceProviderFactory(network), conditions

    def default_mappings(self) -> Mapping[str, ObjectMapping]:
        return self._factory.default_mappings()

    @asynccontextmanager
    async def open(
        self, settings: Mapping[str, Any], credentials: Mapping[str, SecretStr], context: ProviderContext
    ) -> AsyncIterator[CRMProvider]:
        async with self._factory.open(settings, credentials, context) as provider:
            yield cast("CRMProvider", _FedProvider(provider, self._conditions))


class Wired(Registry):
    """All that is installed, but the provider over a network with ``calls`` and the ``trouble`` of jobs."""

    def __init__(self, conditions: Conditions, calls: Calls, trouble: object = None) -> None:
        super().__init__()
        self._conditions = conditions
        self._network = _Network(calls, trouble)

    def provider(self, name: str) -> ProviderFactory:
        assert name == SalesforceProviderFactory.name
        return _FedFactory(self._network, self._conditions)
