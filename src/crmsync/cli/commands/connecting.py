"""``crmsync connect`` and ``crmsync disconnect``."""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import typer
from pydantic import SecretStr
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.commands.mapping_check import check_of_connection, verdict_views, verdicts
from crmsync.cli.config import Config, IntegrationSection, load_config
from crmsync.cli.config_edit import rewrite_integration
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import OfIntegration, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.references import VAULT, from_environment
from crmsync.cli.session import Session, open_session
from crmsync.cli.sign_in import sign_in
from crmsync.cli.sign_in_options import SignIn, SignInOptions
from crmsync.errors import NotFoundError
from crmsync.models.checks import MappingCheck
from crmsync.models.results import ConnectionReport
from crmsync.models.secrets import Secret


@grouped
def connect(
    *,
    provider: Annotated[
        str | None, typer.Argument(help="Sign in to this kind of CRM, such as salesforce.", show_default=False)
    ] = None,
    selection: OfIntegration,
    test: Annotated[bool, typer.Option("--test", help="Only test the connection; store nothing new.")] = False,
    from_env: Annotated[
        list[str] | None,
        typer.Option(
            "--from-env", help="Take a credential from an environment variable.", metavar="CREDENTIAL=VARIABLE"
        ),
    ] = None,
    words: SignIn,
    output: Shown,
) -> int:
    """Sign in to a CRM, or store credentials, and test the connection.

    With the name of a CRM it signs in there, by browser unless an option says otherwise, stores what it gets in the
    vault, and writes to the configuration file where to find it.

    Without, credentials that the file refers to as "vault" are asked for on the terminal, or read from stdin: the value
    alone if there is one, else a line CREDENTIAL=VALUE for each. They are never taken from the command line.
    """
    named = dict(entry.partition("=")[::2] for entry in from_env or [])
    if provider is None:
        words.refuse()
        return anyio.run(_connect, selection, test, named, output)
    return anyio.run(_sign_in, selection, provider, words.options(named, test=test), output)


async def _connect(selection: Selection, test: bool, from_env: Mapping[str, str], output: Output) -> int:
    config = load_config(selection.path)
    reports: dict[str, ConnectionReport] = {}
    checks: dict[str, dict[str, MappingCheck]] = {}
    async with open_session(config) as session:
        sections = session.sections(selection.integration)
        if from_env and len(sections) != 1:
            config.integration(None)
        for section in sections:
            given = {} if test else _new_credentials(section, from_env)
            await session.register(section, given)
            reports[section.id] = await session.crm.test_connection(section.id)
            checks[section.id] = await check_of_connection(session, section)
    payload = {
        "connections": {name: report.model_dump(mode="json") for name, report in reports.items()},
        "mappings": {name: verdicts(found) for name, found in checks.items()},
    }
    views = [
        view
        for name, one in reports.items()
        for view in (*tables.connection_views(name, one), *verdict_views(checks[name]))
    ]
    output.result(payload, *views)
    return ExitCode.SUCCESS if all(report.ok for report in reports.values()) else ExitCode.FAILURE


async def _sign_in(selection: Selection, provider: str, options: SignInOptions, output: Output) -> int:
    config = load_config(selection.path)
    section = _section(config, selection.integration, provider)
    signed, answers = await sign_in(section, options, output)
    references = {name: answers.references.get(name, VAULT) for name in signed.credentials}
    settings = {**answers.settings, **signed.settings}
    async with open_session(config) as session, _restored_on_failure(session, section.id):
        renewed = section.model_copy(update={"settings": settings, "credentials": references})
        await session.register(renewed, signed.credentials)
        report = await session.crm.test_connection(section.id)
        checks = await check_of_connection(session, renewed)
        written = rewrite_integration(config.path, section.id, settings=settings, credentials=references)
    payload = {
        "connections": {section.id: report.model_dump(mode="json")},
        "mappings": {section.id: verdicts(checks)},
        "sign_in": {
            "method": options.method,
            "stored": sorted(name for name, reference in references.items() if reference == VAULT),
            "granted": signed.granted,
            "missing": signed.missing,
            "config_changed": written,
        },
    }
    views = [*tables.connection_views(section.id, report), *verdict_views(checks)]
    if signed.granted:
        views.append(Text(f"  granted: {plain(', '.join(signed.granted))}"))
    views += [Text(f"  missing: {plain(one)}", style="yellow") for one in signed.missing]
    if written:
        views.append(Text(f"  {config.path.name} now says where the credentials are: {_shown(references)}"))
    output.result(payload, *views)
    return ExitCode.SUCCESS if report.ok else ExitCode.FAILURE


def _shown(references: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = {reference}" for name, reference in references.items()) or "none are needed"


def _section(config: Config, integration_id: str | None, provider: str) -> IntegrationSection:
    """The integration to sign in to: the one of this id, or the only one of this provider."""
    if integration_id is None:
        found = [section for section in config.content.integrations if section.provider == provider]
        if len(found) == 1:
            return found[0]
        if not found:
            raise UsageProblemError(f"{config.path.name} has no integration whose provider is {provider!r}")
    section = config.integration(integration_id)
    if section.provider != provider:
        raise UsageProblemError(f"the provider of {section.id} is {section.provider!r}, not {provider!r}")
    return section


@asynccontextmanager
async def _restored_on_failure(session: Session, integration_id: str) -> AsyncIterator[None]:
    """Leave the bookkeeping's integration as it was if what was given does not connect."""
    try:
        before = await session.crm.repository.get_integration(integration_id)
    except NotFoundError:
        before = None
    try:
        yield
    except BaseException:
        with anyio.CancelScope(shield=True):
            await session.crm.restore_integration(integration_id, before)
        raise


def _new_credentials(section: IntegrationSection, named: Mapping[str, str]) -> dict[str, SecretStr]:
    """Values for the credentials that are to be in the vault: from the environment, the terminal, or stdin."""
    wanted = [name for name, reference in section.credentials.items() if reference == VAULT]
    for name in named.keys() - set(wanted):
        raise UsageProblemError(f"{section.id} has no credential {name!r} that refers to the vault")
    given = from_environment({name: f"env:{variable}" for name, variable in named.items()})
    wanted = [name for name in wanted if name not in given]
    if wanted and sys.stdin.isatty():
        typed = {name: getpass.getpass(f"{section.id}, {name}: ") for name in wanted}
    else:
        typed = _from_stdin(section.id, wanted) if wanted else {}
    empty = sorted(name for name in wanted if not typed.get(name, "").strip())
    if empty:
        raise UsageProblemError(f"{section.id}: no value was given for {', '.join(empty)}")
    return {**given, **{name: Secret(value.strip()) for name, value in typed.items()}}


def _from_stdin(integration_id: str, wanted: Sequence[str]) -> dict[str, str]:
    lines = [line.rstrip("\n") for line in sys.stdin if line.strip()]
    if len(wanted) == 1 and len(lines) == 1 and not lines[0].startswith(f"{wanted[0]}="):
        return {wanted[0]: lines[0]}
    pairs = dict(line.partition("=")[::2] for line in lines)
    unknown = pairs.keys() - set(wanted)
    if unknown:
        raise UsageProblemError(
            f"{integration_id}: stdin must have a line CREDENTIAL=VALUE for each of {', '.join(wanted)}"
        )
    return pairs


@grouped
def disconnect(
    *,
    selection: OfIntegration,
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget its links, conflicts and logs, too; records stay.")
    ] = False,
    output: Shown,
) -> int:
    """Revoke the credentials at the CRM and forget them.

    They are forgotten also if the CRM does not answer; then revoke them there, where the output says so. Links stay, so
    that a later `connect` goes on where it stopped. Variables of the environment stay as they are.
    """
    return anyio.run(_disconnect, selection, forget, output)


async def _disconnect(selection: Selection, forget: bool, output: Output) -> int:
    config = load_config(selection.path)
    async with open_session(config) as session:
        section = config.integration(selection.integration)
        done = await session.crm.disconnect(section.id, forget=forget)
    payload: dict[str, Any] = {"disconnected": {section.id: {**done.model_dump(), "forgotten": forget}}}
    verdict = "revoked at the CRM and forgotten" if done.revoked else f"forgotten, but not revoked: {done.reason}"
    views = [Text.assemble((plain(section.id), "bold"), f": {plain(verdict)}")]
    output.result(payload, *views)
    return ExitCode.SUCCESS
