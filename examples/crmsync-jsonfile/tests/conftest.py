from __future__ import annotations

import pytest

pytest.register_assert_rewrite("crmsync.testing")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
