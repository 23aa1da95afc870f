"""References to secrets: ``env:NAME``, ``file:PATH`` and so on, ``vault``. The file holds these, never the secret."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import SecretStr

from crmsync.cli.exits import UsageProblemError
from crmsync.models.secrets import Secret
from crmsync.protocols.keys import KeySource
from crmsync.registry import Registry
from crmsync.security.keys.combined import CombinedKeys

KEY: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|(?!env:)[a-z][a-z0-9-]*:.+")
CREDENTIAL: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|vault")
SECRET_NAME: Final = re.compile(r"token|secret|password|passphrase|private_?key|api_?key", re.IGNORECASE)
VAULT: Final = "vault"


def key_source(references: Sequence[str], registry: Registry) -> KeySource:
    """Where the vault's keys come from.

    :raises ConfigurationError: a reference is malformed, or nothing installed knows its kind.
    """
    sources = [registry.key_source(reference) for reference in references]
    return sources[0] if len(sources) == 1 else CombinedKeys(sources)


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
    return Secret(value)
