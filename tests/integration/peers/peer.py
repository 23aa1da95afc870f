"""A client of others as a program of its own: code in the client's language goes in, JSON comes out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import attrs

from tests.integration.peers.installing import HERE, NODE, node_modules, python_of


class PeerError(Exception):
    """The client raised: ``kind`` is its class, ``text`` what it said."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


@attrs.frozen
class Peer:
    """Runs pieces of code, each in a process of its own.

    ``prelude`` comes first in each of them. Both see ``given``, the values handed over; a piece of code returns what it
    found out.
    """

    command: tuple[str, ...]
    prelude: str
    environment: Mapping[str, str]
    given: Mapping[str, Any]

    def run(self, code: str, **values: Any) -> Any:
        """Run a piece of code and return what it returned.

        :raises PeerError: it raised.
        """
        whole = f"{dedent(self.prelude)}\n{dedent(code)}"
        done = subprocess.run(
            self.command,
            input=json.dumps({"code": whole, "given": {**self.given, **values}}),
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **self.environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        last = done.stdout.rstrip("\n").rpartition("\n")[2]
        try:
            answer = json.loads(last)
        except ValueError:
            raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}") from None
        if "error" in answer:
            raise PeerError(answer["error"]["kind"], answer["error"]["text"])
        return answer["result"]


def python_peer(name: str, prelude: str, trusted: Path, **given: Any) -> Peer:
    """A client in Python; its code may await."""
    python = str(python_of(name))
    environment = {"REQUESTS_CA_BUNDLE": str(trusted), "SSL_CERT_FILE": str(trusted)}
    return Peer((python, "-W", "ignore", str(HERE / "run_code.py")), prelude, environment, given)


def node_peer(prelude: str, **given: Any) -> Peer:
    """A client in JavaScript; its code may await."""
    environment = {"NODE_PATH": str(node_modules())}
    return Peer((NODE, "--no-deprecation", str(HERE / "run_code.cjs")), prelude, environment, given)
