"""A Salesforce org to run against: an ASGI application in-process, or a server on loopback. Extra ``emulator``.

In-process, on asyncio or trio::

    org = SalesforceOrg()
    transport = httpx2.ASGITransport(app=create_app(org))

A dropped connection has no socket to close in-process: there it is a :class:`ConnectionDroppedError`, which
:class:`~crmsync.testing.salesforce.transport.InProcessTransport` (extra ``salesforce``) turns into httpx2's own error.

On loopback: ``with running_emulator()`` in a thread, ``with emulator_process()`` in a child process, :func:`serve` in
the foreground, or ``python -m crmsync.testing.salesforce --help``.

It speaks the REST API as of v31.0 to v68.0: versions, describe, SOQL query with paging, sObject rows, upsert by
external id, sObject Collections, getUpdated and getDeleted, limits; and Bulk API 2.0, ingest and query. Records live in
memory and follow Salesforce's rules: field types, lengths, required, unique and restricted values, recycle bin, merges,
times of one second's resolution; campaigns, tasks and e-mails behave as the Object Reference says.

Its sign-in is OAuth 2.0 (web server flow with PKCE, refresh tokens, client credentials, JWT bearer) and SOAP
``login()``, for the apps of ``SalesforceOrg(apps=[OAuthApp(…)])`` and the built-in ``EMULATOR_APP`` and
``PLATFORM_CLI``; ``org.oauth`` is an :class:`AuthorizationServer`.

Control API (``create_app(org, control=True)``; JSON objects in and out). Whoever reaches it may use it: loopback only.

    GET  /__emulator__                  clock, counters, number of records
    POST /__emulator__/reset-counters   {}
    POST /__emulator__/advance          {"seconds": 60}
    POST /__emulator__/records          {"object": "Contact", "by": "005…",
                                         "records": [{"LastName": "…"}, {"Id": "003…", "Title": "…"}]}
    POST /__emulator__/records/read     {"object": "Contact", "deleted": false}
    POST /__emulator__/records/delete   {"object": "Contact", "ids": ["003…"]}
    POST /__emulator__/records/undelete {"object": "Contact", "ids": ["003…"]}
    POST /__emulator__/records/merge    {"object": "Contact", "master": "003…", "losers": ["003…"], "values": {}}
    POST /__emulator__/records/convert  {"lead": "00Q…", "account_id": null, "contact_id": null, "custom": {}}
    POST /__emulator__/rules            {"clear": true, "validation": [{"rule": "required", "object": "Contact",
                                         "field": "Email"}], "duplicates": [{"object": "Contact", "fields": ["Email"],
                                         "allow": true}], "triggers": [{"object": "Contact", "field": "LastName",
                                         "do": "truncate", "length": 20}]}
    POST /__emulator__/permissions      {"user": "005…", "hidden": ["Contact.Email"], "read_only": [],
                                         "objects": {"Campaign": "r"}}
    POST /__emulator__/faults           {"clear": true, "latency": 0.12, "fail": {"times": 2, "status": 503,
                                         "html": false, "after_commit": false, "path": "composite"}, "drop": {…},
                                         "late": 5, "reject": {"object": "Contact", "field": "Email", "equals": "…",
                                         "code": "UNABLE_TO_LOCK_ROW", "message": "…", "times": 1}}
                                        and more: docs/reference/emulator.md has them all
    POST /__emulator__/bulk             {"seconds": 2, "seconds_per_record": 0.001, "hard_delete": true,
                                         "max_upload_bytes": …, "batches_a_day": …, "query_jobs_a_day": …,
                                         "page_records": …, "slow": {"seconds": 60, "times": 1},
                                         "fail": {"after_records": 100, "message": "…"},
                                         "abort": {"after_records": 0}, "lock_chunks": 1}
    POST /__emulator__/oauth            {"apps": [{"client_id": "…", "callback_urls": ["http://localhost:8090/cb"], …}],
                                         "auto_approve_as": "api.user@emulator.example", "session_seconds": 900,
                                         "expire_sessions": true, "allow_password_flow": true,
                                         "allow_soap_login": false, "passwords": {"username": "…"}}
    GET  /__emulator__/state            everything, as PUT /__emulator__/state takes it
    POST /__emulator__/save             {}; write the state file now, if there is one
"""

from __future__ import annotations

from crmsync.errors import MissingExtraError

_EXTRA_PACKAGES = ("starlette", "lark", "uvicorn", "jwt", "defusedxml")

try:
    from crmsync.testing.salesforce.app import create_app
    from crmsync.testing.salesforce.bulk.faults import BulkFaults
    from crmsync.testing.salesforce.bulk.jobs import BulkOptions
    from crmsync.testing.salesforce.conversion import Conversion, Converted
    from crmsync.testing.salesforce.errors import CallError, RowError
    from crmsync.testing.salesforce.faults import (
        ConnectionDroppedError,
        Faults,
        every_nth,
        row_fault,
        row_lock,
        validation_rule,
    )
    from crmsync.testing.salesforce.ids import canonical_id, make_id
    from crmsync.testing.salesforce.latency import Lognormal
    from crmsync.testing.salesforce.oauth.apps import (
        EMULATOR_APP,
        EMULATOR_PASSWORD,
        EMULATOR_REFRESH_TOKEN,
        PLATFORM_CLI,
        OAuthApp,
    )
    from crmsync.testing.salesforce.oauth.authorization_server import AuthorizationServer
    from crmsync.testing.salesforce.org import (
        DEFAULT_TOKEN,
        MY_DOMAIN,
        ORG_ID,
        MultipleMatchesError,
        SalesforceOrg,
        Upserted,
    )
    from crmsync.testing.salesforce.permissions import Profile
    from crmsync.testing.salesforce.process import EmulatorProcess, emulator_process
    from crmsync.testing.salesforce.rules import (
        DuplicateRule,
        DuplicatesError,
        Rules,
        ValidationRule,
        matches,
        named_trigger,
        required_when,
    )
    from crmsync.testing.salesforce.schema import FieldDef, PicklistValue, custom_field, location_fields
    from crmsync.testing.salesforce.seeding import API_USER_ID, API_USERNAME, OTHER_USER_ID
    from crmsync.testing.salesforce.server import EmulatorServer, RunningEmulator, running_emulator, serve
    from crmsync.testing.salesforce.state import dump_state, load_file, load_state, save_file
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in _EXTRA_PACKAGES:
        raise MissingExtraError("the Salesforce emulator", "emulator") from error
    raise

__all__ = [
    "API_USERNAME",
    "API_USER_ID",
    "DEFAULT_TOKEN",
    "EMULATOR_APP",
    "EMULATOR_PASSWORD",
    "EMULATOR_REFRESH_TOKEN",
    "MY_DOMAIN",
    "ORG_ID",
    "OTHER_USER_ID",
    "PLATFORM_CLI",
    "AuthorizationServer",
    "BulkFaults",
    "BulkOptions",
    "CallError",
    "ConnectionDroppedError",
    "Conversion",
    "Converted",
    "DuplicateRule",
    "DuplicatesError",
    "EmulatorProcess",
    "EmulatorServer",
    "Faults",
    "FieldDef",
    "Lognormal",
    "MultipleMatchesError",
    "OAuthApp",
    "PicklistValue",
    "Profile",
    "RowError",
    "Rules",
    "RunningEmulator",
    "SalesforceOrg",
    "Upserted",
    "ValidationRule",
    "canonical_id",
    "create_app",
    "custom_field",
    "dump_state",
    "emulator_process",
    "every_nth",
    "load_file",
    "load_state",
    "location_fields",
    "make_id",
    "matches",
    "named_trigger",
    "required_when",
    "row_fault",
    "row_lock",
    "running_emulator",
    "save_file",
    "serve",
    "validation_rule",
]
