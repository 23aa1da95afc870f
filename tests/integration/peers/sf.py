"""The real ``sf`` command."""

from __future__ import annotations

from tests.integration.peers.installing import NODE, node_modules


def sf_command() -> tuple[str, ...]:
    """The program and its first argument: the CLI, on the Node.js that the tests bring."""
    return (NODE, str(node_modules() / "@salesforce" / "cli" / "bin" / "run.js"))
