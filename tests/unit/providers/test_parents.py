"""Which objects of a provider build on which."""

from __future__ import annotations

import pytest

from crmsync.protocols.provider import ProviderFactory, SupportsParents
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.memory import MemoryProviderFactory


@pytest.mark.parametrize("factory", [SalesforceProviderFactory(), MemoryProviderFactory()], ids=lambda each: each.name)
def test_parents_come_before_their_children(factory: ProviderFactory) -> None:
    assert isinstance(factory, SupportsParents)
    order = list(factory.default_mappings())
    for child, parents in factory.parents().items():
        assert all(order.index(parent) < order.index(child) for parent in parents), child
