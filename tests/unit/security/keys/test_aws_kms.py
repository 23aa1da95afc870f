"""Keys in AWS KMS, of a server on loopback that implements it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from crmsync.errors import ConfigurationError, VaultError
from crmsync.security.keys.aws_kms import KmsKey, KmsKeys
from crmsync.security.keys.combined import CombinedKeys
from crmsync.security.keys.local import GivenKeys, LocalKey
from crmsync.security.vault import Vault

OWN: Any = {"integration_id": "acme", "purpose": "credentials"}


def client_of(url: str) -> Any:
    access = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "made-up"}
    return boto3.client("kms", region_name="eu-central-1", endpoint_url=url, **access)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="module")
def client(url: str) -> Any:
    return client_of(url)


def new_key(client: Any) -> str:
    return str(client.create_key()["KeyMetadata"]["Arn"])


def vault(client: Any, *keys: str, environment: str = "") -> Vault:
    return Vault(KmsKeys(",".join(keys), client=client), environment=environment)


def test_what_is_sealed_under_a_key_of_the_service_opens_again(client: Any) -> None:
    key = new_key(client)
    sealed = vault(client, key, environment="production").encrypt(b"token", **OWN)
    assert vault(client, key, environment="production").decrypt(sealed, **OWN) == b"token"
    assert vault(client, key).remote


def test_the_service_itself_refuses_a_text_of_another_integration(client: Any) -> None:
    key = new_key(client)
    sealed = vault(client, key).encrypt(b"token", **OWN)
    with pytest.raises(VaultError, match="belongs to another integration") as caught:
        vault(client, key).decrypt(sealed, integration_id="other", purpose="credentials")
    assert caught.value.reason == "damaged"


def test_a_data_key_is_asked_for_once_in_a_while_and_not_for_each_use(client: Any, url: str) -> None:
    """A token refresh then costs no call: it opens and seals under the data key that is known."""
    key = new_key(client)
    calls = list[str]()
    watched = client_of(url)
    watched.meta.events.register("before-call.kms", lambda model, **_: calls.append(model.name))
    ours = vault(watched, key)
    sealed = ours.encrypt(b"token", **OWN)
    for _ in range(5):
        sealed = ours.encrypt(ours.decrypt(sealed, **OWN), previous=sealed, **OWN)
    assert calls == ["Encrypt", "Decrypt"]


def test_secrets_move_from_a_local_key_to_the_service_and_to_another_key_of_it(client: Any) -> None:
    local, first, second = GivenKeys([LocalKey.generate()]), new_key(client), new_key(client)
    sealed = Vault(local).encrypt(b"token", **OWN)
    moved = Vault(CombinedKeys([KmsKeys(first, client=client), local])).rewrap(sealed, **OWN)
    rotated = vault(client, second, first).rewrap(moved, **OWN)
    assert vault(client, second).decrypt(rotated, **OWN) == b"token"
    with pytest.raises(VaultError, match="needs the vault key") as caught:
        vault(client, first).decrypt(rotated, **OWN)
    assert caught.value.reason == "missing_key"


def test_a_key_that_the_service_refuses_is_told_from_a_damaged_text(client: Any) -> None:
    with pytest.raises(VaultError, match="AWS KMS refuses it: NotFoundException") as caught:
        vault(client, "1234abcd-12ab-34cd-56ef-1234567890ab").encrypt(b"token", **OWN)
    assert caught.value.reason == "unavailable"


def test_a_service_that_does_not_answer_is_unavailable() -> None:
    nowhere = client_of("http://127.0.0.1:9")
    key = KmsKey("1234abcd-12ab-34cd-56ef-1234567890ab", nowhere)
    with pytest.raises(VaultError, match="cannot be asked: EndpointConnectionError") as caught:
        key.wrap(bytes(32), {})
    assert caught.value.reason == "unavailable"


@pytest.mark.parametrize("reference", ["", "alias/crmsync", "arn:aws:kms:eu-central-1:123456789012:alias/x", "a b"])
def test_a_key_is_named_by_what_never_comes_to_mean_another(reference: str) -> None:
    with pytest.raises(ConfigurationError, match="not by aliases"):
        KmsKeys(reference)
