"""References to secrets: ``env:NAME``, ``file:PATH``, ``vault``. The file holds these and never the secret."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from crmsync.cli.exits import UsageProblemError
from crmsync.security.vault import Vault

KEY: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")
CREDENTIAL: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|vault")
SECRET_NAME: Final = re.compile(r"token|secret|password|passphrase|private_?key|api_?key", re.IGNORECASE)
VAULT: Final = "vault"


def open_vault(reference: str) -> Vault:
    """The vault whose key, or keys, the reference names.

    :raises ConfigurationError: the key cannot be had, or is none.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        return Vault.from_env(name)
    if not Path(name).exists():
        raise UsageProblemError(
            f"the vault's key file {name} does not exist: `crmsync init` makes one; or restore yours"
        )
    return Vault.from_file(name)


def from_environment(references: Mapping[str, str]) -> dict[str, SecretStr]:
    """The credentials that refer to the environment, by name; those in the vault are left out.

    :raises UsageProblemError: a variable is not set.
    """
    return {
        name: _from_environment(reference.removeprefix("env:"), f"the credential {name}")
        for name, reference in references.items()
        if reference != VAULT
    }


def _from_environment(variable: str, purpose: str) -> SecretStr:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UsageProblemError(f"{purpose} comes from the environment variable {variable}, which is not set")
    return SecretStr(value)
