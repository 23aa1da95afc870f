"""A login borrowed from the real ``sf`` command."""

from __future__ import annotations

from pathlib import Path

import anyio

from crmsync.engine import RunBudget, SystemClock
from crmsync.protocols.provider import ProviderContext
from crmsync.providers.salesforce import SalesforceProviderFactory
from crmsync.testing.salesforce import API_USERNAME, RunningEmulator
from tests.integration.peers.sf import Cli, sf_command, signed_in_by_assertion


def test_a_login_of_the_cli_signs_in_and_is_asked_again_when_its_session_ends(
    emulator: RunningEmulator, tmp_path: Path
) -> None:
    assert signed_in_by_assertion(Cli(tmp_path), emulator, "--alias", "acme").code == 0
    given = emulator.org.calls["POST /services/oauth2/token"]
    settings = {"sf": {"org": "acme", "command": sf_command(), "home": str(tmp_path)}, "allow_insecure_loopback": True}

    async def connect() -> list[str]:
        context = ProviderContext(SystemClock(), RunBudget())
        async with SalesforceProviderFactory().open(settings, {}, context) as provider:
            first = await provider.test_connection()
            emulator.org.expire_sessions()
            return [report.user for report in (first, await provider.test_connection())]

    assert anyio.run(connect) == [API_USERNAME] * 2
    assert emulator.org.calls["POST /services/oauth2/token"] == given + 1
