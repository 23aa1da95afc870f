"""``crmsync emulator``."""

from __future__ import annotations

import json
import random
import shlex
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import typer
from rich.text import Text

from crmsync.cli.demo.people import make_people, make_pools
from crmsync.cli.demo.remote import contact_of
from crmsync.cli.emulator_control import ADMINISTERED, EmulatorControl
from crmsync.cli.emulator_process import Emulator, run_emulator
from crmsync.cli.exits import ExitCode, UsageProblemError
from crmsync.cli.options import Shown, grouped
from crmsync.cli.output import Output

TOKEN_VARIABLE: Final = "SF_TOKEN"  # noqa: S105 - a name, no token


app = typer.Typer(help="Run a Salesforce emulator to try things on, until Ctrl-C.")
UrlOption = Annotated[str, typer.Option("--url", help="Where the running emulator is.", metavar="URL")]
DEFAULT_URL: Final = "http://127.0.0.1:8765"


@app.callback(invoke_without_command=True)
@grouped
def emulator(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
    contacts: Annotated[int, typer.Option("--contacts", min=0, help="Fill an empty org with made-up contacts.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Which made-up contacts.")] = 1,
    state: Annotated[
        Path | None, typer.Option("--state", help="Keep the org in this file between starts.", metavar="FILE")
    ] = None,
    latency: Annotated[float, typer.Option("--latency", min=0, help="Seconds that every call takes longer.")] = 0.0,
    bulk_seconds: Annotated[
        float, typer.Option("--bulk-seconds", min=0, help="Seconds that every bulk job takes.")
    ] = 0.0,
    bulk_seconds_per_record: Annotated[
        float, typer.Option("--bulk-seconds-per-record", min=0, help="Seconds longer for each record of a bulk job.")
    ] = 0.0,
    person_accounts: Annotated[bool, typer.Option("--person-accounts", help="An org with person accounts.")] = False,
    output: Shown,
) -> int:
    """Run a Salesforce emulator to try things on, until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return ExitCode.SUCCESS
    arguments = ["--host", host, "--port", str(port), "--latency", str(latency)]
    arguments += ["--bulk-seconds", str(bulk_seconds), "--bulk-seconds-per-record", str(bulk_seconds_per_record)]
    arguments += ["--state", str(state)] if state else []
    arguments += ["--person-accounts"] if person_accounts else []
    try:
        return anyio.run(_emulate, arguments, contacts, seed, output)
    except KeyboardInterrupt:
        output.note("the emulator has ended")
        return ExitCode.SUCCESS


@app.command()
@grouped
def fault(
    faults: Annotated[
        list[str] | None,
        typer.Argument(help="Such as latency=0.2 or fail='{\"status\": 503}'.", metavar="NAME=JSON..."),
    ] = None,
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Switch all others off before.")] = False,
    url: UrlOption = DEFAULT_URL,
    output: Shown,
) -> int:
    """Give a running emulator trouble: the reference of the emulator lists what there is."""
    chosen = _named(faults or [])
    if not chosen and not clear:
        raise UsageProblemError("which fault? Such as latency=0.2, or --clear")
    anyio.run(EmulatorControl(url).set_faults, {"clear": clear, **chosen})
    output.result({"faults": chosen, "cleared": clear}, Text("The emulator has it."))
    return ExitCode.SUCCESS


@app.command()
@grouped
def admin(
    deeds: Annotated[
        list[str] | None,
        typer.Argument(help='Such as permissions=\'{"hidden": ["Contact.Phone"]}\'.', metavar="NAME=JSON..."),
    ] = None,
    *,
    url: UrlOption = DEFAULT_URL,
    output: Shown,
) -> int:
    """Do in a running emulator what people do in the org's own pages.

    Set rules, permissions and apps; save, delete, undelete, merge and convert records. One after the other.
    """
    given = {name: _deed(name, value) for name, value in _named(deeds or []).items()}
    if not given:
        raise UsageProblemError(f"do what? There are {', '.join(ADMINISTERED)}")
    done = anyio.run(_administer, EmulatorControl(url), given)
    told = [Text(f"{name}: {json.dumps(answer)}") for name, answer in done.items() if answer]
    output.result({"done": done}, *(told or [Text("The emulator has it.")]))
    return ExitCode.SUCCESS


@app.command()
@grouped
def advance(
    seconds: Annotated[float, typer.Argument(min=0, help="How far.", metavar="SECONDS")],
    *,
    url: UrlOption = DEFAULT_URL,
    output: Shown,
) -> int:
    """Set the clock of a running emulator forward: late commits show, bulk jobs end, sessions expire."""
    anyio.run(EmulatorControl(url).advance, seconds)
    output.result({"seconds": seconds}, Text(f"The emulator's clock is {seconds:g} seconds further."))
    return ExitCode.SUCCESS


@app.command()
@grouped
def dump(
    file: Annotated[Path, typer.Argument(help="Where to write it.", metavar="FILE")],
    *,
    url: UrlOption = DEFAULT_URL,
    output: Shown,
) -> int:
    """Write the whole org of a running emulator to a file, which `--state` and `load` take."""
    state = anyio.run(EmulatorControl(url).dump)
    try:
        file.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise UsageProblemError(f"{file} cannot be written: {error.strerror}") from error
    output.result({"file": str(file)}, Text(f"The org is in {file}."))
    return ExitCode.SUCCESS


@app.command()
@grouped
def load(
    file: Annotated[Path, typer.Argument(help="What `dump` wrote.", metavar="FILE")],
    *,
    url: UrlOption = DEFAULT_URL,
    output: Shown,
) -> int:
    """Replace the whole org of a running emulator by a dumped one."""
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageProblemError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageProblemError(f"{file} is no JSON document") from error
    anyio.run(EmulatorControl(url).load, state)
    output.result({"file": str(file)}, Text(f"The emulator has the org of {file}."))
    return ExitCode.SUCCESS


def _named(given: list[str]) -> dict[str, Any]:
    """Return values by name, from ``name=JSON``; True of a name alone.

    :raises UsageProblemError: one is not of this form.
    """
    chosen: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        try:
            chosen[name] = json.loads(value) if sign else True
        except ValueError as error:
            raise UsageProblemError(f"{name}: what follows the = is no JSON") from error
    return chosen


def _deed(name: str, value: Any) -> dict[str, Any]:
    if name not in ADMINISTERED:
        raise UsageProblemError(f"{name}: there are {', '.join(ADMINISTERED)}")
    if not isinstance(value, dict):
        raise UsageProblemError(f"{name}: a JSON object is needed")
    return value


async def _administer(control: EmulatorControl, given: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: await control.administer(name, body) for name, body in given.items()}


async def _emulate(arguments: list[str], contacts: int, seed: int, output: Output) -> int:
    async with run_emulator(arguments) as running:
        await _fill(running, contacts, seed)
        output.result({"url": running.url, "access_token": running.access_token}, *_next_steps(running))
        await running.process.wait()
    return ExitCode.FAILURE


async def _fill(running: Emulator, contacts: int, seed: int) -> None:
    control = EmulatorControl(running.url)
    if contacts and not await control.read("Contact"):
        people = make_people(contacts, make_pools(seed), random.Random(seed))  # noqa: S311 - made-up people
        await control.save("Contact", [contact_of(person) for person in people])


def _next_steps(running: Emulator) -> list[Text]:
    export = f"export {TOKEN_VARIABLE}={shlex.quote(running.access_token)}"
    return [
        Text.assemble("Salesforce emulator at ", (running.url, "bold green"), ". Ctrl-C ends it."),
        Text("In another terminal:\n"),
        Text(f"  {export}", style="bold"),
        Text(f"  crmsync init --instance-url {running.url} --csv YOUR.csv", style="bold"),
        Text("  crmsync connect --test", style="bold"),
        Text("  crmsync plan", style="bold"),
        Text("  crmsync sync", style="bold"),
    ]
