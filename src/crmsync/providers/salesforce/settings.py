"""What a Salesforce connection is told, checked before a token leaves the process."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from crmsync.errors import ConfigurationError
from crmsync.providers.salesforce.sf.options import SfOptions

SALESFORCE_DOMAINS = (
    "salesforce.com",
    "force.com",
    "cloudforce.com",
    "salesforce.mil",
    "force.mil",
    "cloudforce.mil",
    "sfcrmproducts.cn",
    "sfcrmapps.cn",
)
"""Domains whose hosts Salesforce runs (help: "My Domain URL Formats"; the last two are Salesforce on Alibaba Cloud)."""


class ChannelName(enum.StrEnum):
    """How records are written."""

    AUTO = "auto"
    COLLECTIONS = "collections"
    BULK = "bulk"


class SalesforceSettings(BaseModel):
    """The settings of one connection.

    ``instance_url`` is the org's My Domain (``https://acme.my.salesforce.com``). A host outside Salesforce's own
    domains must stand in ``allowed_hosts`` (``host`` or ``host:port``), so that a mistyped URL does not send the
    token to a stranger; plain http is for loopback only, with ``allow_insecure_loopback`` or by name in
    ``allowed_hosts``. ``api_version`` None takes the newest that both the org and this library know. Times are in
    seconds. ``look_back_seconds`` is how far before its position every pass reads again, for transactions that commit
    late. ``safety_seconds`` is subtracted from the server's clock for the delay between a query and its answer.
    ``sf`` is for what goes through the Salesforce CLI.
    ``channel`` is how records are written: ``auto`` chooses by size, speed and calls left. ``bulk_wait_seconds`` is how
    long a bulk job may take before it is aborted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    instance_url: str
    api_version: str | None = Field(default=None, pattern=r"^\d{2,3}\.0$")
    external_id_field: str = Field(default="MarkMail_Id__c", pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    timeout: float = Field(default=60.0, gt=0)
    look_back_seconds: int = Field(default=600, ge=0)
    safety_seconds: int = Field(default=5, ge=0)
    channel: ChannelName = ChannelName.AUTO
    bulk_wait_seconds: float = Field(default=3600.0, gt=0)
    retry_wait: float = Field(default=0.5, ge=0)
    retry_wait_max: float = Field(default=60.0, ge=0)
    allowed_hosts: tuple[str, ...] = ()
    allow_insecure_loopback: bool = False
    sf: SfOptions = SfOptions()

    @field_validator("instance_url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("must be an https URL of the org, without a user name")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("must end after the host name")
        return f"{parts.scheme}://{_netloc(parts)}"

    @model_validator(mode="after")
    def _is_trusted(self) -> SalesforceSettings:
        parts = urlsplit(self.instance_url)
        host = parts.hostname or ""
        listed = {entry.strip().lower() for entry in self.allowed_hosts} & {host, _netloc(parts)}
        loopback = _is_loopback(host)
        if not listed and not (loopback and self.allow_insecure_loopback) and not _is_salesforce(host):
            raise ValueError(
                "instance_url: the host is none of Salesforce's; if it is right, add it to allowed_hosts"
                " (for the emulator: allow_insecure_loopback = true)"
            )
        if parts.scheme != "https" and not loopback:
            raise ValueError("instance_url: a token is only sent over https")
        return self

    @property
    def look_back(self) -> timedelta:
        """How far before its position a pass begins."""
        return timedelta(seconds=self.look_back_seconds)


class SalesforceCredentials(BaseModel):
    """The secrets of one connection."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access_token: SecretStr

    @field_validator("access_token")
    @classmethod
    def _is_a_header_value(cls, value: SecretStr) -> SecretStr:
        token = value.get_secret_value().strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("must be a session id or access token: printable ASCII without spaces")
        return SecretStr(token)


def read_settings(settings: Mapping[str, Any]) -> SalesforceSettings:
    """Check settings.

    :raises ConfigurationError: names every setting at fault, never a value.
    """
    try:
        return SalesforceSettings.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigurationError(_faults("settings", error, SalesforceSettings)) from None


def read_credentials(credentials: Mapping[str, SecretStr]) -> SalesforceCredentials:
    """Check credentials.

    :raises ConfigurationError: names every credential at fault, never a value.
    """
    try:
        return SalesforceCredentials.model_validate(dict(credentials))
    except ValidationError as error:
        raise ConfigurationError(_faults("credentials", error, SalesforceCredentials)) from None


def _faults(what: str, error: ValidationError, model: type[BaseModel]) -> str:
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{name}: unknown (known: {', '.join(model.model_fields)})")
        elif fault["type"] == "missing":
            lines.append(f"{name}: missing")
        else:
            text = fault["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {text}" if name else text)
    return f"Salesforce {what}: " + "; ".join(lines)


def _netloc(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port}" if parts.port else host


def _is_salesforce(host: str) -> bool:
    return any(host.endswith(f".{domain}") for domain in SALESFORCE_DOMAINS)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
