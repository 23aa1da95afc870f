"""The command tree, and the frame around every command: errors become messages and exit codes here."""

from __future__ import annotations

import itertools
import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

import typer

from crmsync.cli.commands import (
    audit,
    beginning,
    conflicts,
    connecting,
    databases,
    demo,
    emulating,
    history,
    keys,
    links,
    looking,
    mappings,
    privacy,
    rejects,
    runs,
    stops,
    verifying,
)
from crmsync.cli.exits import ExitCode, UsageProblemError, exit_code_for
from crmsync.cli.output import Format, Output
from crmsync.providers.log_redaction import RedactSecrets

_EPILOG: Final = (
    "Exit codes: 0 success; 1 failure; 2 the command line or the configuration is at fault; 3 partial (records were"
    " rejected or conflicts wait for a decision, everything else is in step); 4 a guard stopped the run before it did"
    " harm; 130 interrupted. Add --debug to any command for the traceback of an error."
)

app = typer.Typer(
    name="crmsync",
    help="Keep your records and a CRM in step, both ways.\n\nNew here? Run `crmsync demo`, then `crmsync init`.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command()(demo.demo)
app.add_typer(emulating.app, name="emulator")
app.command()(beginning.init)
app.command()(connecting.connect)
app.command()(connecting.disconnect)
app.command()(looking.fields)
app.command()(runs.plan)
app.command()(runs.sync)
app.command()(verifying.verify)
app.command()(looking.status)
app.add_typer(conflicts.app, name="conflicts")
app.add_typer(rejects.app, name="rejects")
app.add_typer(links.app, name="links")
app.add_typer(mappings.app, name="mapping")
app.add_typer(stops.app, name="stops")
app.add_typer(databases.app, name="db")
app.command()(history.history)
app.command()(history.undo)
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(privacy.app, name="privacy")
app.command()(links.pause)
app.command()(links.resume)
app.command()(looking.logs)
app.command()(looking.providers)


@runtime_checkable
class _UsageFault(Protocol):
    """What the command-line parser raises; its class has no public name in every supported version of Typer."""

    exit_code: int

    def format_message(self) -> str: ...


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Nothing is raised."""
    output = Output(Format.JSON if _wants_json(arguments) else Format.HUMAN)
    debug = "--debug" in arguments
    _log(debug=debug)
    given = [argument for argument in arguments if argument != "--debug"]
    try:
        code = app(args=given, prog_name="crmsync", standalone_mode=False)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of stdout has gone; the interpreter must not complain at exit
        return ExitCode.FAILURE
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the frame: nothing but a message leaves it
        return _failed(error, output, debug=debug)
    if code == ExitCode.INTERRUPTED:  # the parser turns Ctrl-C into this code by itself
        output.error(KeyboardInterrupt())
    return code if isinstance(code, int) else ExitCode.SUCCESS


def _log(*, debug: bool) -> None:
    """What libraries log is for those who debug; without any handler the interpreter would print it."""
    if debug:
        logging.basicConfig(level=logging.INFO)
        for handler in logging.getLogger().handlers:
            handler.addFilter(RedactSecrets())
    elif not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())


def _failed(error: Exception, output: Output, *, debug: bool) -> int:
    if isinstance(error, _UsageFault):
        message = " ".join(error.format_message().split())
        if not message:
            return ExitCode.USAGE
        error = UsageProblemError(f"{message.rstrip('.')}; --help shows what there is")
    elif debug:
        traceback.print_exception(error)
    output.error(_leaf(error))
    return exit_code_for(_leaf(error))


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether errors are to be JSON, also those of a command line that does not parse."""
    pairs = itertools.pairwise(arguments)
    return "--format=json" in arguments or ("--format", "json") in pairs


def _leaf(error: Exception) -> Exception:
    """The error itself, without the groups that task groups wrap it in, if it is the only one."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
