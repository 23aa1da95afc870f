"""The secrets of a connection, and which way of signing in they make."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator

from crmsync.errors import ConfigurationError
from crmsync.models.secrets import Secret
from crmsync.providers.salesforce.settings import SalesforceSettings, TransportName, faults_of


class SignIn(enum.StrEnum):
    """How a connection gets its access token."""

    ACCESS_TOKEN = "access token"  # noqa: S105 - the name of a way, not a secret
    REFRESH_TOKEN = "refresh token"  # noqa: S105 - as above
    CLIENT_CREDENTIALS = "client credentials"
    JWT_BEARER = "JWT bearer"
    SF_CLI = "the sf command's login"


class SalesforceCredentials(BaseModel):
    """The secrets of one connection; those that are given say how it signs in.

    ``access_token`` alone; or ``refresh_token`` with ``client_id`` (and ``client_secret``, if the app has one); or
    ``client_id`` with ``client_secret``; or ``client_id`` with ``username`` and ``private_key`` (PEM, or ``file:PATH``
    of one). Beside the last three, ``access_token`` and ``instance_url`` are the token in use now and where it is used;
    crmsync keeps them there when it has renewed them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access_token: Secret | None = None
    instance_url: Secret | None = None
    refresh_token: Secret | None = None
    client_id: Secret | None = None
    client_secret: Secret | None = None
    username: Secret | None = None
    private_key: Secret | None = None

    @field_validator("access_token", "refresh_token", "client_id", "client_secret")
    @classmethod
    def _is_a_header_value(cls, value: SecretStr | None) -> SecretStr | None:
        token = value.get_secret_value().strip() if value else ""
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("must be printable ASCII without spaces, as Salesforce gives it")
        return Secret(token)

    @field_validator("username", "private_key")
    @classmethod
    def _is_there(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value else ""
        if not text:
            raise ValueError("is empty")
        # An environment variable often holds a PEM with its line ends written out.
        return Secret(text.replace("\\n", "\n"))


def read_connection(
    settings: Mapping[str, Any], credentials: Mapping[str, SecretStr]
) -> tuple[SalesforceSettings, SalesforceCredentials, SignIn]:
    """Check settings and credentials, and find out how they sign in.

    :raises ConfigurationError: names everything at fault, missing or contradictory at once, never a value.
    """
    faults = []
    try:
        checked = SalesforceSettings.model_validate(dict(settings))
    except ValidationError as error:
        faults.append(f"Salesforce settings: {'; '.join(faults_of(error, SalesforceSettings))}")
    secrets: list[str] = []
    try:
        given = SalesforceCredentials.model_validate(dict(credentials))
    except ValidationError as error:
        secrets += faults_of(error, SalesforceCredentials)
    sf = settings.get("sf")
    way, problems = _way(set(credentials), sf_org=isinstance(sf, Mapping) and bool(sf.get("org")))
    secrets += problems
    if settings.get("transport") == TransportName.SF and way not in (SignIn.ACCESS_TOKEN, SignIn.SF_CLI):
        secrets.append(f'transport = "sf" signs in by the setting sf.org or by access_token, not by {way.value}')
    if secrets:
        faults.append(f"Salesforce credentials: {'; '.join(secrets)}")
    if faults:
        raise ConfigurationError(". ".join(faults))
    return checked, given, way


_ANY: Final = (
    "give access_token; or refresh_token and client_id; or client_id and client_secret; or client_id, username and"
    " private_key; or the setting sf.org"
)


def _way(given: set[str], *, sf_org: bool) -> tuple[SignIn, Sequence[str]]:
    """How these sign in, and what is wrong with them."""
    if not given and sf_org:
        return SignIn.SF_CLI, []
    if "refresh_token" in given and given & {"username", "private_key"}:
        return SignIn.REFRESH_TOKEN, ["refresh_token and private_key are different ways to sign in; give one of them"]
    if "refresh_token" in given:
        return SignIn.REFRESH_TOKEN, _missing(given, ("client_id",))
    if given & {"username", "private_key"}:
        unused = ["client_secret: not used with private_key"] if "client_secret" in given else []
        return SignIn.JWT_BEARER, [*_missing(given, ("client_id", "username", "private_key")), *unused]
    if "client_secret" in given:
        return SignIn.CLIENT_CREDENTIALS, _missing(given, ("client_id",))
    if "client_id" in given:
        return SignIn.CLIENT_CREDENTIALS, [f"client_id alone signs nobody in: {_ANY}"]
    return SignIn.ACCESS_TOKEN, [] if "access_token" in given else [f"access_token: missing ({_ANY})"]


def _missing(given: set[str], needed: Sequence[str]) -> list[str]:
    return [f"{name}: missing" for name in needed if name not in given]
