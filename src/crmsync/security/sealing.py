"""What an integration keeps encrypted, and how it becomes one sealed text and back."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from typing import Final, NoReturn

import anyio.to_thread
import attrs
from pydantic import SecretStr

from crmsync.errors import ConfigurationError, VaultError
from crmsync.models.integrations import Integration
from crmsync.models.secrets import Secret, refuse_pickling
from crmsync.security.vault import Vault

PURPOSE: Final = "integration"


@attrs.frozen(slots=True)
class Secrets:
    """``credentials`` are those to use now, ``given`` those that someone last gave; a provider may have renewed some.

    ``digest_key`` is the key of the shadows' digests.
    """

    credentials: Mapping[str, SecretStr]
    given: Mapping[str, SecretStr]
    digest_key: bytes = attrs.field(repr=False)

    def __reduce__(self) -> NoReturn:
        refuse_pickling("a set of secrets")


def masked(credentials: Mapping[str, SecretStr | str]) -> dict[str, SecretStr]:
    """The credentials in a form that nothing shows and nothing pickles."""
    return {name: _masked(value) for name, value in credentials.items()}


def _masked(value: SecretStr | str) -> Secret:
    if isinstance(value, Secret):
        return value
    return Secret(value.get_secret_value() if isinstance(value, SecretStr) else value)


def seal(vault: Vault, integration_id: str, secrets: Secrets, previous: str = "") -> str:
    """The text to store, in place of ``previous``."""
    content = {
        "credentials": _plain(secrets.credentials),
        "given": _plain(secrets.given),
        "digest_key": base64.b64encode(secrets.digest_key).decode(),
    }
    plain = json.dumps(content).encode()
    return vault.encrypt(plain, integration_id=integration_id, purpose=PURPOSE, previous=previous)


async def opened(vault: Vault, integration: Integration) -> Secrets:
    """`unseal` that never holds up the event loop: in a thread, where a key may be elsewhere."""
    if vault.remote:
        return await anyio.to_thread.run_sync(unseal, vault, integration)
    return unseal(vault, integration)


def unseal(vault: Vault, integration: Integration) -> Secrets:
    """:raises VaultError: the vault's key is another one, or the text is damaged."""
    plain = vault.decrypt(integration.credentials, integration_id=integration.id, purpose=PURPOSE)
    try:
        held = json.loads(plain)
        credentials = masked(held["credentials"])
        # Until 0.1 what was given was all there was.
        given = masked(held.get("given", held["credentials"]))
        return Secrets(credentials, given, base64.b64decode(held["digest_key"]))
    except (ValueError, KeyError, AttributeError, binascii.Error):
        msg = f"the credentials of integration {integration.id!r} are damaged; connect it again"
        raise VaultError(msg, reason="damaged") from None


def given(held: Secrets, credentials: Mapping[str, SecretStr], keep: Collection[str]) -> Secrets:
    """What is to be sealed once someone gave these; ``held`` itself if they are the ones of the last time.

    :raises ConfigurationError: a credential to ``keep`` is not stored.
    """
    absent = [name for name in keep if name not in held.credentials]
    if absent:
        raise ConfigurationError(f"there is no stored {', '.join(absent)} to keep; give it")
    named = {**{name: held.given.get(name, held.credentials[name]) for name in keep}, **credentials}
    if named == held.given:
        return held
    return Secrets({**{name: held.credentials[name] for name in keep}, **credentials}, named, held.digest_key)


def _plain(credentials: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in credentials.items()}
