"""What a Salesforce connection is told, checked before a token leaves the process."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crmsync.errors import ConfigurationError
from crmsync.providers.salesforce.objects.options import (
    NOT_PROVIDED,
    AccountMode,
    ActivityMode,
    ApiName,
    CampaignOptions,
    ParentOptions,
    PersonMode,
)
from crmsync.providers.salesforce.people.options import ContactRule, PeopleMode
from crmsync.providers.salesforce.sf.options import SfOptions
from crmsync.providers.salesforce.versions import OLDEST

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
KNOWN_TO_THE_CLI = "https://sf.invalid"
"""Stands for the address of an org that only the Salesforce CLI knows."""


class ChannelName(enum.StrEnum):
    """How records are written."""

    AUTO = "auto"
    COLLECTIONS = "collections"
    BULK = "bulk"


class FirstRead(enum.StrEnum):
    """How all records of an object are read for the first time."""

    AUTO = "auto"
    REST = "rest"
    BULK = "bulk"


class ChangeFeed(enum.StrEnum):
    """How the changes since a position are read."""

    QUERY = "query"
    GET_UPDATED = "get_updated"


class TransportName(enum.StrEnum):
    """How calls reach the org."""

    HTTP = "http"
    SF = "sf"


class SalesforceSettings(BaseModel):
    """The settings of one connection.

    ``instance_url`` is the org's My Domain (``https://acme.my.salesforce.com``), where crmsync signs in; calls go to
    the address that the sign-in answers with. It may be left out where the login of ``sf.org`` is borrowed. A host
    outside Salesforce's own domains must stand in ``allowed_hosts`` (``host`` or ``host:port``), so that a mistyped URL
    does not send the token to a stranger; plain http is for loopback only, with ``allow_insecure_loopback`` or by name
    in ``allowed_hosts``. ``jwt_audience`` None is what Salesforce documents for the domain. ``api_version`` None takes
    the newest that both the org and this library know; none older than `versions.OLDEST` is taken. Times are in
    seconds. ``look_back_seconds`` is how far before its position every pass reads again, for transactions that commit
    late. ``safety_seconds`` is subtracted from the server's clock for the delay between a query and its answer.
    ``changes`` is how changes are read: ``query`` by their SystemModstamp, or ``get_updated`` by the ids that
    `getUpdated` names, with which no commit is too late; objects that cannot be replicated are queried all the same.
    ``concurrent_calls`` is how many may be on their way at once; while the org is busy they are fewer.
    ``collections_per_call`` is how many collections go in one call at the most: of 200 records to write, fewer where
    the org takes long for them, or of 2,000 to read by their ids. ``allow_duplicates`` saves records against the org's
    duplicate rules where these only warn; bulk jobs cannot, so records then go as collections.
    ``transport`` ``sf`` sends every call through the Salesforce CLI, where only that may reach the org; ``sf`` is for
    what goes through it.
    ``channel`` is how records are written: ``auto`` chooses by size, speed and calls left. ``bulk_wait_seconds`` is how
    long a bulk job may take before it is aborted.
    ``read_back`` reads what was written, up to 10,000 records a call, so that what the org made of it (a trigger, a
    format) is known at once; without, the next run takes that for a change in the org.
    ``first_read`` is how a large object is read for the first time: ``rest`` by ranges of ids side by side, ``bulk`` by
    query jobs, ``auto`` by what is faster and spares calls, from more than ``bulk_read_from`` records on.
    ``bulk_read_ranges`` is how many ranges of ids have a query job each; None chooses by how many records there are.
    ``accounts`` is what a contact's company does to its account; ``account_key_field`` is an external id of Account by
    which no two processes make one twice. ``person_accounts`` is what a new person becomes, ``person_record_type`` the
    id of the record type that such an account gets; None is the user's default one.
    ``parents``, ``campaigns`` and ``activity`` say how single objects are treated; see
    `crmsync.providers.salesforce.objects.options`. ``activity_id_field`` is a field of Task that holds
    what makes an event's record recognisable.
    ``people`` says what the verbs on contacts work with; with ``lead_then_contact`` there is also an object ``Person``,
    contacts and leads as one. ``lead_company`` stands in a lead's required ``Company`` where a person has none.
    ``contact_when`` says which new people of ``Person`` become contacts at once; the others become leads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    instance_url: str | None = None
    jwt_audience: str | None = Field(default=None, min_length=1)
    api_version: str | None = Field(default=None, pattern=r"^\d{2,3}\.0$")
    external_id_field: str = Field(default="MarkMail_Id__c", pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    timeout: float = Field(default=60.0, gt=0)
    look_back_seconds: int = Field(default=600, ge=0)
    safety_seconds: int = Field(default=5, ge=0)
    changes: ChangeFeed = ChangeFeed.QUERY
    channel: ChannelName = ChannelName.AUTO
    bulk_wait_seconds: float = Field(default=3600.0, gt=0)
    read_back: bool = True
    first_read: FirstRead = FirstRead.AUTO
    bulk_read_from: int = Field(default=20_000, ge=0)
    bulk_read_ranges: int | None = Field(default=None, ge=1, le=100)
    concurrent_calls: int = Field(default=10, ge=1, le=25)
    collections_per_call: int = Field(default=5, ge=1, le=5)
    max_answer_mb: int = Field(default=128, ge=1)
    allow_duplicates: bool = False
    retry_wait: float = Field(default=0.5, ge=0)
    retry_wait_max: float = Field(default=60.0, ge=0)
    allowed_hosts: tuple[str, ...] = ()
    allow_insecure_loopback: bool = False
    transport: TransportName = TransportName.HTTP
    sf: SfOptions = SfOptions()
    parents: ParentOptions = ParentOptions()
    campaigns: CampaignOptions = CampaignOptions()
    accounts: AccountMode = AccountMode.LEAVE
    account_key_field: ApiName | None = None
    person_accounts: PersonMode = PersonMode.LEAVE
    person_record_type: str | None = Field(default=None, pattern=r"^012[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?$")
    activity: ActivityMode = ActivityMode.TASK
    activity_id_field: ApiName = "MarkMail_Activity_Id__c"
    people: PeopleMode = PeopleMode.CONTACT
    lead_company: str = Field(default=NOT_PROVIDED, min_length=1, max_length=255)
    contact_when: ContactRule | None = None

    @field_validator("instance_url")
    @classmethod
    def _is_an_origin(cls, value: str | None) -> str | None:
        return value if value is None else origin_of(value)

    @field_validator("api_version")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value is not None and int(value.partition(".")[0]) < OLDEST:
            raise ValueError(f"this crmsync works with {OLDEST}.0 and newer; leave it out for the newest of both")
        return value

    @model_validator(mode="after")
    def _is_trusted(self) -> SalesforceSettings:
        if self.instance_url is None and self.sf.org is None:
            raise ValueError("instance_url: missing")
        if self.instance_url is not None:
            try:
                self.trusted(self.instance_url)
            except ValueError as error:
                raise ValueError(f"instance_url: {error}") from None
        return self

    def trusted(self, url: str) -> str:
        """The origin of a URL that a token may be sent to.

        :raises ValueError: it is no origin, or these settings do not trust its host; the message does not name it.
        """
        origin = origin_of(url)
        parts = urlsplit(origin)
        host = parts.hostname or ""
        listed = {entry.strip().lower() for entry in self.allowed_hosts} & {host, _netloc(parts)}
        loopback = _is_loopback(host)
        if not listed and not (loopback and self.allow_insecure_loopback) and not is_salesforce(host):
            raise ValueError(
                "the host is none of Salesforce's; if it is right, add it to allowed_hosts"
                " (for the emulator: allow_insecure_loopback = true)"
            )
        if parts.scheme != "https" and not loopback:
            raise ValueError("a token is only sent over https")
        return origin

    @model_validator(mode="after")
    def _can_allow_duplicates(self) -> SalesforceSettings:
        if self.allow_duplicates and self.channel is ChannelName.BULK:
            raise ValueError(
                "allow_duplicates: bulk jobs know no such option; set channel to auto or collections, or leave it out"
            )
        return self

    @property
    def saving_headers(self) -> Mapping[str, str]:
        """What goes with every call that saves records ("Duplicate Rule Header", REST API Developer Guide)."""
        return {"Sforce-Duplicate-Rule-Header": "allowSave=true"} if self.allow_duplicates else {}

    @property
    def look_back(self) -> timedelta:
        """How far before its position a pass begins."""
        return timedelta(seconds=self.look_back_seconds)


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL that has nothing else.

    :raises ValueError: it has more, or is none.
    """
    parts = urlsplit(url.strip())
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be an https URL of the org, without a user name")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must end after the host name")
    return f"{parts.scheme}://{_netloc(parts)}"


def read_settings(settings: Mapping[str, Any]) -> SalesforceSettings:
    """Check settings.

    :raises ConfigurationError: names every setting at fault, never a value.
    """
    try:
        return SalesforceSettings.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigurationError(f"Salesforce settings: {'; '.join(faults_of(error, SalesforceSettings))}") from None


def faults_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """What is wrong with each field, without any value."""
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
    return lines


def _netloc(parts: SplitResult) -> str:
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port}" if parts.port else host


def is_salesforce(host: str) -> bool:
    """Whether Salesforce runs a host."""
    return any(host.endswith(f".{domain}") for domain in SALESFORCE_DOMAINS)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
