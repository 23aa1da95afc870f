"""References to secrets: ``env:NAME``, ``file:PATH``, ``vault``. The file holds these and never the secret."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from crmsync.cli.exits import UsageProblemError

KEY: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")
CREDENTIAL: Final = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|vault")
SECRET_NAME: Final = re.compile(r"token|secret|password|passphrase|private_?key|api_?key", re.IGNORECASE)
VAULT: Final = "vault"


def read_key(reference: str) -> SecretStr:
    """The vault's key.

    :raises UsageProblemError: the variable is not set, or the file is absent, unreadable or open to other users.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        return _from_environment(name, "the vault's key")
    path = Path(name)
    try:
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            msg = f"the key file {path} can be read by others: run `chmod 600 {path}`"
            raise UsageProblemError(msg)
        return SecretStr(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        msg = f"the key file {path} does not exist: `crmsync init` makes one, or restore yours from a backup"
        raise UsageProblemError(msg) from None
    except (OSError, UnicodeDecodeError):
        msg = f"the key file {path} cannot be read"
        raise UsageProblemError(msg) from None


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
        msg = f"{purpose} is to come from the environment variable {variable}, which is not set"
        raise UsageProblemError(msg)
    return SecretStr(value)
