"""The real ``sf`` command."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from crmsync.testing.salesforce import API_USERNAME, OAuthApp, RunningEmulator
from tests.integration.peers.installing import NODE, node_modules

QUIET = (
    "SF_DISABLE_TELEMETRY SF_DISABLE_AUTOUPDATE SF_AUTOUPDATE_DISABLE SF_SKIP_NEW_VERSION_CHECK SF_DISABLE_LOG_FILE"
    " SF_USE_GENERIC_UNIX_KEYCHAIN"
).split()


def sf_command() -> tuple[str, ...]:
    """The program and its first arguments: the CLI, on the Node.js that the tests bring.

    What Node.js compiled of the CLI is kept from command to command: a fifth of each.
    """
    compiled = f"NODE_COMPILE_CACHE={node_modules().with_name('compiled')}"
    return ("env", compiled, NODE, str(node_modules() / "@salesforce" / "cli" / "bin" / "run.js"))


@attrs.frozen
class Said:
    """What a command ended with and printed."""

    code: int
    body: Mapping[str, Any]

    @property
    def result(self) -> Any:
        """The result of a command that did what was asked."""
        assert self.code == 0, self.body
        return self.body["result"]

    @property
    def name(self) -> str:
        """The name of a failure."""
        assert self.code != 0
        return str(self.body["name"])


@attrs.frozen
class Cli:
    """The CLI with a home directory, which is also where it works."""

    home: Path
    environment: Mapping[str, str] = attrs.field(factory=dict)

    def run(self, *arguments: str, **environment: str) -> Said:
        """Run a command with ``--json``."""
        own = {"HOME": str(self.home), "PATH": os.environ["PATH"], **dict.fromkeys(QUIET, "true")}
        done = subprocess.run(
            [*sf_command(), *arguments, "--json"],
            cwd=self.home,
            env={**own, **self.environment, **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        try:
            return Said(done.returncode, json.loads(done.stdout))
        except ValueError:
            raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}") from None


def signed_in_by_assertion(cli: Cli, emulator: RunningEmulator, *options: str) -> Said:
    """What the CLI says of a login that it can renew by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file = cli.home / "key.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    emulator.org.oauth.add_app(OAuthApp(client_id="signer", public_key=public.decode(), preauthorized=(API_USERNAME,)))
    login = ("org", "login", "jwt", "--client-id", "signer", "--username", API_USERNAME, "--jwt-key-file", str(file))
    return cli.run(*login, "--instance-url", emulator.url, *options)
