"""``crmsync keys list``, ``check``, ``generate``, ``rotate`` and ``retire``."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
import anyio.to_thread
import typer
from rich.console import RenderableType
from rich.text import Text

from crmsync.cli import tables
from crmsync.cli.config import Config, load_config
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.interruption import run_interruptible
from crmsync.cli.options import InFile, Selection, Shown, grouped
from crmsync.cli.output import Output, plain
from crmsync.cli.references import key_source
from crmsync.cli.session import new_key, open_session
from crmsync.errors import ConfigurationError
from crmsync.models.keys import KeyOverview, VaultKey
from crmsync.protocols.keys import KeySource
from crmsync.registry import Registry
from crmsync.security.keys.combined import changeable

app = typer.Typer(help="The keys that encrypt stored credentials: look at them, rotate them.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` says it.", metavar="KEY")]


@app.command("list")
@grouped
def list_(*, selection: InFile, output: Shown) -> int:
    """List the vault's keys, how many secrets are under each, and keys that are needed and not there."""
    return anyio.run(_list, selection, output)


@app.command()
@grouped
def check(*, selection: InFile, output: Shown) -> int:
    """Open every stored secret; say which do not open, and why."""
    return anyio.run(_check, selection, output)


@app.command()
@grouped
def generate(
    *,
    show: Annotated[bool, typer.Option("--show", help="Only print a new key, for a secret store of yours.")] = False,
    selection: InFile,
    output: Shown,
) -> int:
    """Add a new key to the key file or keyring. It encrypts nothing until `keys rotate --to KEY`."""
    if show:
        key = new_key()
        output.result({"key": key}, Text(key))
        return ExitCode.SUCCESS
    return anyio.run(_generate, load_config(selection.path), output)


@app.command()
@grouped
def rotate(
    *,
    to: Annotated[str | None, typer.Option("--to", help="Make this key the first before.", metavar="KEY")] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make new data keys, too: for when one may be known to others.")
    ] = False,
    selection: InFile,
    output: Shown,
) -> int:
    """Bring all stored secrets under the first key, while syncs go on. Run it again if it was cut off."""
    return run_interruptible(_rotate, selection, to, renew, output)


@app.command()
@grouped
def retire(key: KeyId, *, selection: InFile, output: Shown) -> int:
    """Take a key that no stored secret needs out of the key file or keyring."""
    return anyio.run(_retire, selection, key, output)


async def _list(selection: Selection, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        overview = await session.crm.keys()
    output.result(overview.model_dump(mode="json"), *_overview_views(overview))
    return ExitCode.SUCCESS if all(key.present for key in overview.keys) else ExitCode.FAILURE


async def _check(selection: Selection, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        checked = await session.crm.check_keys()
    good = checked.checked - len(checked.faults)
    head = Text(f"{good} of {checked.checked} stored secrets open")
    output.result(checked.model_dump(mode="json"), head, *_fault_views(checked.faults))
    return ExitCode.FAILURE if checked.faults else ExitCode.SUCCESS


async def _generate(config: Config, output: Output) -> int:
    source = changeable(key_source(config.vault_keys, Registry()))
    if source is None:
        raise UsageProblemError(
            f"crmsync cannot put a key into {', '.join(config.content.vault.key)}: make one there"
            " (`crmsync keys generate --show` prints one for an environment variable)"
        )
    if await anyio.to_thread.run_sync(_has_keys, source):
        async with open_session(config) as session:
            key_id = await session.crm.generate_key()
    else:
        key_id = await anyio.to_thread.run_sync(source.generate)
    views = [
        Text.assemble("added the key ", (key_id, "bold"), f" to the {plain(source.name)}; back it up"),
        Text(f"next: crmsync keys rotate --to {key_id}"),
    ]
    output.result({"key_id": key_id, "source": source.name}, *views)
    return ExitCode.SUCCESS


async def _rotate(selection: Selection, to: str | None, renew: bool, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        done = await session.crm.rotate_keys(to=to, renew=renew)
    head = Text.assemble(
        f"{done.rewrapped} secrets re-wrapped under ", (plain(done.key_id), "bold"), f", {done.unchanged} were already"
    )
    output.result(done.model_dump(mode="json"), head, *_fault_views(done.faults))
    return ExitCode.PARTIAL if done.faults else ExitCode.SUCCESS


async def _retire(selection: Selection, key: str, output: Output) -> int:
    async with open_session(load_config(selection.path)) as session:
        done = await session.crm.retire_key(key)
        source = session.crm.key_source_name
    verdict = f"taken out of the {source}" if done.removed else f"needed no more: take it out of the {source} yourself"
    output.result(done.model_dump(mode="json"), Text.assemble((plain(key), "bold"), f": {plain(verdict)}"))
    return ExitCode.SUCCESS


def _has_keys(source: KeySource) -> bool:
    """Whether a vault can be opened: the first key of all is made without one."""
    try:
        return bool(source.load())
    except ConfigurationError:
        return False


def _overview_views(overview: KeyOverview) -> list[RenderableType]:
    where = f", environment {overview.environment}" if overview.environment else ""
    views: list[RenderableType] = [
        Text(plain(f"{overview.source}{where}")),
        tables.table(
            "key", "state", "secrets", rows=[(key.id, _state(key), str(key.secrets)) for key in overview.keys]
        ),
    ]
    if overview.outdated:
        views.append(Text(f"{overview.outdated} secrets are in an older form: `crmsync keys rotate` renews them"))
    if overview.foreign:
        views.append(Text(f"{overview.foreign} secrets are of another environment and do not open here"))
    if overview.damaged:
        views.append(Text(f"{overview.damaged} secrets are damaged: see `crmsync keys check`"))
    return views


def _state(key: VaultKey) -> str:
    if not key.present:
        return "MISSING"
    if key.first:
        return "in use"
    return "in use by older secrets" if key.secrets else "not used"


def _fault_views(faults: dict[str, str]) -> list[Any]:
    if not faults:
        return []
    return [tables.table("integration", "fault", rows=sorted(faults.items()))]
