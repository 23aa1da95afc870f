"""``aws-kms:KEY``: keys that never leave the AWS Key Management Service (extra ``aws``)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from crmsync.errors import ConfigurationError, MissingExtraError, VaultError
from crmsync.security.keys.local import moved_or_changed

_KEY: Final = re.compile(r"(arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:key/)?[A-Za-z0-9-]{1,64}")
_DAMAGED: Final = {"InvalidCiphertextException", "IncorrectKeyException"}


class KmsKey:
    """One key in the service. What it wraps is bound to the context as the service's *encryption context*."""

    remote: Final = True

    def __init__(self, key: str, client: Any) -> None:
        self.id: Final = key
        self._client = client

    def wrap(self, data_key: bytes, context: Mapping[str, str]) -> bytes:
        """See `WrappingKey`: the service's ciphertext blob."""
        answer = self._call("encrypt", Plaintext=data_key, EncryptionContext=dict(context))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """See `WrappingKey`."""
        answer = self._call("decrypt", CiphertextBlob=wrapped, EncryptionContext=dict(context))
        return bytes(answer["Plaintext"])

    def _call(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (an extra)

        try:
            answer: Mapping[str, Any] = getattr(self._client, operation)(KeyId=self.id, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
            if code in _DAMAGED:
                raise moved_or_changed() from None
            self._unavailable(f"AWS KMS refuses it: {code}")
        except BotoCoreError as error:
            self._unavailable(f"AWS KMS cannot be asked: {type(error).__name__}")
        return answer

    def _unavailable(self, why: str) -> NoReturn:
        raise VaultError(f"the vault key {self.id} cannot be used; {why}", reason="unavailable") from None

    def __repr__(self) -> str:
        return f"KmsKey({self.id})"


class KmsKeys:
    """A `KeySource` of comma-separated key ids or ARNs; the first encrypts.

    Credentials, region and endpoint come from where the AWS SDK takes them; an ARN brings its region. An alias is
    refused: it may come to mean another key, which cannot open what the first one sealed. ``client`` is for those who
    configure the SDK themselves.
    """

    def __init__(self, reference: str, *, client: Any = None) -> None:
        """:raises ConfigurationError: a key is not named by its id or ARN.

        :raises MissingExtraError: the package ``boto3`` is not installed.
        """
        names = [part.strip() for part in reference.split(",") if part.strip()]
        matches = [_KEY.fullmatch(name) for name in names]
        if not names or not all(matches):
            raise ConfigurationError("name keys of AWS KMS by their ids or ARNs, not by aliases")
        regions = [match["region"] if match else None for match in matches]
        self._keys = [KmsKey(name, client or _client(region)) for name, region in zip(names, regions, strict=True)]
        self.name = "AWS KMS"

    def load(self) -> Sequence[KmsKey]:
        """See `KeySource`. Asks nobody."""
        return self._keys


def _client(region: str | None) -> Any:
    try:
        import boto3  # noqa: PLC0415  (an extra of its own)
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  (as above)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"boto3", "botocore"}:
            raise
        raise MissingExtraError("keys in AWS KMS", "aws") from error
    try:
        return boto3.client("kms", region_name=region)
    except BotoCoreError as error:
        raise ConfigurationError(f"AWS KMS cannot be used: {type(error).__name__}; set AWS_REGION, say") from None
