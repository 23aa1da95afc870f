"""A user at a shell: a directory, an emulator on loopback, and the ``crmsync`` command."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import attrs

from crmsync.cli import main
from crmsync.security.vault import Vault
from crmsync.testing.salesforce import RunningEmulator, running_emulator
from tests.migrated import new_sqlite

PEOPLE = """id,email,first_name,last_name,company,phone
1,luisg@example.org,Luís,Gonçalves,Embraer S.A.,+55 (12) 3923-5555
2,leonie@example.org,Leonie,Köhler,,+49 0711 2842222
3,o'brien@example.org,Conor,O'Brien,"Smith, Jones & Co",+353 1 234 5678
4,bjorn@example.org,Bjørn,Hansen,,+47 22 44 22 22
"""

CONFIG = """storage = "sqlite:///crmsync.db"
[vault]
key = "file:crmsync.key"
[local]
type = "csv"
path = "people.csv"
[run]
lease_seconds = 2
[[integrations]]
id = "acme"
provider = "salesforce"
[integrations.settings]
instance_url = "{url}"
allow_insecure_loopback = true
look_back_seconds = 60
retry_wait = 0.01
retry_wait_max = 0.05
[integrations.credentials]
access_token = "env:SF_TOKEN"
[integrations.objects.Contact.match]
local_email = "email"
remote_email = "Email"
[integrations.objects.Contact.fields]
{fields}
"""

FIELDS = """email = { crm_field = "Email", field_type = "email" }
first_name = "FirstName"
last_name = { crm_field = "LastName", required = true }
company = "MarkMail_Company__c"
phone = { crm_field = "Phone", field_type = "phone" }
"""


@attrs.frozen
class Done:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one object on stdout."""
        return json.loads(self.out)


@attrs.frozen
class Shell:
    """A working directory with a configuration, and an org to talk to."""

    directory: Path
    emulator: RunningEmulator

    def environment(self, **changes: str) -> dict[str, str]:
        """The environment of the commands."""
        return {**os.environ, "SF_TOKEN": self.emulator.access_token, "NO_COLOR": "1", "COLUMNS": "200", **changes}

    def command(self, *arguments: str) -> list[str]:
        """The command line of a ``crmsync`` command."""
        return [sys.executable, "-m", "crmsync", *arguments]

    def run(self, *arguments: str, stdin: str = "", **changes: str) -> Done:
        """Run a command to its end; ``changes`` are of the environment.

        In this process, because most of a short command's time is its start; a process of its own has what logs for
        people who debug, or is run beside something else.
        """
        if "--debug" in arguments or threading.current_thread() is not threading.main_thread():
            return self.process(*arguments, stdin=stdin, **changes)
        return run_here(arguments, self.directory, self.environment(**changes), stdin)

    def process(self, *arguments: str, stdin: str = "", **changes: str) -> Done:
        """The same as a process of its own."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment(**changes),
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def configure(self, fields: str = FIELDS, *, url: str | None = None) -> None:
        """Write the configuration."""
        text = CONFIG.replace("{url}", url or self.emulator.url).replace("{fields}", fields)
        (self.directory / "crmsync.toml").write_text(text, encoding="utf-8")

    def contacts(self) -> list[dict[str, Any]]:
        """The org's living contacts."""
        return list(self.emulator.org.records("Contact"))


def run_here(arguments: Sequence[str], directory: Path, environment: Mapping[str, str], stdin: str = "") -> Done:
    """Run a command to its end in this process, as if it had been started in that directory."""
    out, err = io.StringIO(), io.StringIO()
    with _place(directory, environment, stdin), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Done(code, out.getvalue(), err.getvalue())


@contextmanager
def _place(directory: Path, environment: Mapping[str, str], stdin: str) -> Iterator[None]:
    """This process as a user's shell would start it, and afterwards as it was."""
    before, reading = dict(os.environ), sys.stdin
    with chdir(directory):
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        try:
            yield
        finally:
            sys.stdin = reading
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def shell(directory: Path, people: str = PEOPLE, **org: Any) -> Iterator[Shell]:
    """A fresh one, with a key, a CSV file, a configuration, and a bookkeeping with nothing in it."""
    with running_emulator(**org) as emulator:
        made = Shell(directory, emulator)
        key = directory / "crmsync.key"
        key.write_text(Vault.generate_key(), encoding="ascii")
        key.chmod(0o600)
        (directory / "people.csv").write_text(people, encoding="utf-8")
        new_sqlite(directory / "crmsync.db")
        made.configure()
        yield made


def rows(path: Path) -> Sequence[str]:
    """The lines of a file."""
    return path.read_text(encoding="utf-8").splitlines()
