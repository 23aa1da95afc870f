"""The frame around every command: errors become messages and exit codes here."""

from __future__ import annotations

import itertools
import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import typer

from crmsync.cli.exits import ExitCode, UsageProblemError, exit_code_for
from crmsync.cli.output import Format, Output
from crmsync.cli.tree import command_tree
from crmsync.providers.log_redaction import RedactSecrets


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
        code = command_tree(given)(args=given, prog_name="crmsync", standalone_mode=False)
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
