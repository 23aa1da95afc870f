"""Runs the blocks of a documentation page, in order, in a directory of its own.

- ``python`` blocks run in one namespace.
- A ``{code-block}`` with a ``:caption:`` is a file: it is written under that name.
- ``console`` blocks run each line that begins with ``$``; what follows it is what it prints (``...`` stands for
  anything). A command that ends with ``&`` goes on until the page ends. A ``crmsync`` command that needs nothing of the
  shell but to keep what it prints runs in this process, because most of its time would be its start; all else runs in
  a shell.
- ``toml`` and ``json`` blocks must be well-formed.
- ``sh`` blocks are not run: a test lists them.
"""

from __future__ import annotations

import contextlib
import doctest
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
from sybil import Document, Example, Region
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from sybil.parsers.myst.lexers import DirectiveLexer

from tests.integration.shell import Done, run_here

ROOT = Path(__file__).parents[2]
PORT = "8765"
"""The port that the pages use; each page runs with a free one in its place."""

PLAIN = re.compile(
    r"""
    crmsync \s (?P<arguments> (?: '[^']*' | "[^"$`\\]*" | \\\n | [^'"$`\\|&;<>()*?~\n] )+? )
    (?: \s > \s (?P<kept> [\w.]+) )?
    """,
    re.VERBOSE,
)
"""A ``crmsync`` command, whose output may go to a file, in which a shell has nothing to expand."""

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def pages() -> list[Path]:
    """The README and every page of the site."""
    site = (page for page in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in page.parts)
    return [ROOT / "README.md", *site]


def blocks(page: Path) -> Iterator[tuple[str, str | None, Region]]:
    """Every code block of a page: its language, its caption if it has one, and where and what it is."""
    document = Document(page.read_text(encoding="utf-8"), str(page))
    for region in FencedCodeBlockLexer(language=r"[a-z]+")(document):
        yield region.lexemes["language"], None, region
    for region in DirectiveLexer(directive="code-block", arguments="[a-z]+")(document):
        yield region.lexemes["arguments"], region.lexemes["options"].get("caption"), region


@attrs.define
class Workspace:
    """Where a page runs: its directory, its environment, what it started."""

    directory: Path
    port: str
    environment: dict[str, str]
    started: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    def console(self, example: Example) -> None:
        """Run a ``console`` block."""
        for command, expected in self._commands(str(example.parsed)):
            if command.startswith("export "):
                for assignment in shlex.split(command)[1:]:
                    name, _, value = assignment.partition("=")
                    self.environment[name] = value
            elif command.endswith("&"):
                self._start(command.removesuffix("&"))
            else:
                self._run(command, expected, example)

    def write(self, name: str, example: Example) -> None:
        """Write a captioned block to the file that its caption names."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.localised(str(example.parsed)), encoding="utf-8")

    def localised(self, text: str) -> str:
        """The text with this page's port."""
        return text.replace(PORT, self.port)

    def close(self) -> None:
        """End what the page started."""
        for process in reversed(self.started):
            process.terminate()
            process.wait(timeout=20)

    def _commands(self, source: str) -> Iterator[tuple[str, str]]:
        for part in f"\n{self.localised(source)}".split("\n$ ")[1:]:
            lines: list[str] = part.splitlines()
            count = next((i for i, line in enumerate(lines, 1) if not line.endswith("\\")), len(lines))
            yield "\n".join(lines[:count]).strip(), "\n".join(lines[count:])

    def _start(self, command: str) -> None:
        log = self.directory / f"background-{len(self.started)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                shlex.split(command), cwd=self.directory, env=self.environment, stdout=out, stderr=subprocess.STDOUT
            )
        self.started.append(process)
        deadline = time.monotonic() + 30
        while not self._listening():
            assert process.poll() is None, f"{command}: {log.read_text(encoding='utf-8')}"
            assert time.monotonic() < deadline, f"{command} does not listen on port {self.port}"
            time.sleep(0.05)

    def _listening(self) -> bool:
        with contextlib.closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", int(self.port))) == 0

    def _run(self, command: str, expected: str, example: Example) -> None:
        plain = PLAIN.fullmatch(command)
        done = self._here(plain) if plain else self._in_a_shell(command)
        printed = done.out + done.err
        where = f"{example.path}:{example.line}: $ {command}"
        assert done.code == 0, f"{where}\nexit code {done.code}\n{printed}"
        if expected.strip():
            matches = doctest.OutputChecker().check_output(expected.strip() + "\n", printed.strip() + "\n", OPTIONS)
            assert matches, f"{where}\nprinted\n{printed}\ninstead of\n{expected}"

    def _here(self, command: re.Match[str]) -> Done:
        done = run_here(shlex.split(command["arguments"]), self.directory, self.environment)
        if command["kept"] is None:
            return done
        (self.directory / command["kept"]).write_text(done.out, encoding="utf-8")
        return attrs.evolve(done, out="")

    def _in_a_shell(self, command: str) -> Done:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def workspace(directory: Path) -> Iterator[Workspace]:
    """A place to run one page in."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    home = directory / "home"
    home.mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "HOME": str(home), "COLUMNS": "120", "NO_COLOR": "1"}
    place = Workspace(directory / "work", port, environment)
    place.directory.mkdir()
    try:
        with contextlib.chdir(place.directory):
            yield place
    finally:
        place.close()


def parse(page: Path, place: Workspace) -> Document:
    """The page with something to do for each of its blocks."""
    document = Document(page.read_text(encoding="utf-8"), str(page))
    for language, caption, region in blocks(page):
        region.parsed = region.lexemes["source"]
        region.evaluator = _evaluator(language, caption, place)
        document.add(region)
    return document


def _evaluator(language: str, caption: str | None, place: Workspace) -> Callable[[Example], None] | None:
    if caption is not None:
        return lambda example: place.write(caption, example)
    evaluators: dict[str, Callable[[Example], None]] = {
        "python": PythonEvaluator(),
        "console": place.console,
        "toml": _parse_toml,
        "json": _parse_json,
    }
    return evaluators.get(language)


def _parse_toml(example: Example) -> None:
    tomllib.loads(str(example.parsed))


def _parse_json(example: Example) -> None:
    json.loads(str(example.parsed))
