"""Every check, each in an environment of its own: ``nox``, or ``nox -s tests`` for one of them.

The Python versions are those of the classifiers in pyproject.toml; versions that are not on ``PATH`` are left out.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nox

nox.options.error_on_missing_interpreters = False
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["lint", "typecheck", "tests", "no_extras", "lowest", "wheel", "docs", "example"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
OLDEST = PYTHONS[0]

EVERYTHING = ["tests/unit", "tests/property", "tests/contract", "tests/integration"]
# Ignored by path and not by mark: half of these modules cannot be imported without their extra, so no mark of theirs
# would be seen. tests/house/test_core_tests.py tells what is missing here.
CORE = [
    "tests/unit/diff",
    "tests/unit/engine",
    "tests/unit/mapping",
    "tests/unit/models",
    "tests/unit/security",
    "tests/unit/test_errors.py",
    "tests/unit/test_missing_extras.py",
    "tests/unit/test_models.py",
    "tests/unit/test_registry.py",
    "tests/property",
    # Keys in the keyring and in AWS KMS are extras.
    "--ignore=tests/unit/security/keys/test_aws_kms.py",
    "--ignore=tests/unit/security/keys/test_os_keyring.py",
    # Salesforce's own, and what needs a database; the rest is the core's.
    "--ignore=tests/property/test_activity_tally.py",
    "--ignore=tests/property/test_bulk_outcomes.py",
    "--ignore=tests/property/test_bulk_results.py",
    "--ignore=tests/property/test_calls_of_processes.py",
    "--ignore=tests/property/test_engine_machine_on_postgresql.py",
    "--ignore=tests/property/test_engine_over_http.py",
    "--ignore=tests/property/test_engine_soak.py",
    "--ignore=tests/property/test_computed_syncs.py",
    "--ignore=tests/property/test_expressions.py",
    "--ignore=tests/property/test_first_load.py",
    "--ignore=tests/property/test_pages_together.py",
    "--ignore=tests/property/test_fuzz_targets.py",
    "--ignore=tests/property/test_plan_calls.py",
    # Expressions are an extra.
    "--ignore=tests/unit/engine/test_computed.py",
    "--ignore=tests/unit/engine/test_validation.py",
    "--ignore=tests/unit/mapping/expressions",
    "--ignore=tests/unit/mapping/test_computed.py",
    "--ignore=tests/unit/mapping/test_validating.py",
    "--ignore=tests/unit/mapping/test_phones.py",
    "--ignore=tests/unit/mapping/suggestions/test_labelled.py",
    "--ignore=tests/unit/mapping/suggestions/test_spelling.py",
    "-k",
    "not sqlite and not postgresql and not os_keyring",
]


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Style and layers."""
    session.install("-e", ".[all]", *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo")


@nox.session(python=OLDEST)
def typecheck(session: nox.Session) -> None:
    """``mypy --strict`` on the library, its tests and this file."""
    session.install("-e", ".[all]", *group("typecheck"))
    session.run("mypy")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests on each Python version, with everything installed."""
    session.install("-e", ".[all]", *group("test"))
    # What is not about the core runs on one event loop; every other version takes the other one.
    other = {"CRMSYNC_OTHER_LOOP": "1"} if PYTHONS.index(str(session.python)) % 2 else {}
    session.run("pytest", "-n", "2", *(session.posargs or EVERYTHING), env=other)


@nox.session(python=OLDEST)
def no_extras(session: nox.Session) -> None:
    """The core alone: it imports, its parts work, and each part that is absent names its extra."""
    session.install(build_wheel(session), *group("test"))
    session.run("python", "-c", "import crmsync; [getattr(crmsync, name) for name in crmsync.__all__]")
    session.run("pytest", "-n", "2", *CORE)


@nox.session(python=OLDEST)
def lowest(session: nox.Session) -> None:
    """The lowest version of every direct dependency that pyproject.toml allows."""
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(lowest_versions()) + "\n", encoding="utf-8")
    session.install("-c", str(constraints), ".[all]", *group("test"))
    session.run("pytest", "-n", "2", *(session.posargs or EVERYTHING))


@nox.session(python=OLDEST)
def wheel(session: nox.Session) -> None:
    """The wheel as users get it, tested where the sources cannot be reached."""
    session.install(f"{build_wheel(session)}[all]", *group("test"))
    away = Path(session.create_tmp()) / "away"
    shutil.rmtree(away, ignore_errors=True)
    for folder in ("tests", "examples", "docs"):
        shutil.copytree(ROOT / folder, away / folder, ignore=shutil.ignore_patterns("_build"))
    shutil.copy(ROOT / "pyproject.toml", away)
    with session.chdir(away):
        session.run("pytest", "-n", "2", *(session.posargs or EVERYTHING))


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """The site; any warning is an error."""
    session.install("-e", ".[all]", *group("docs"))
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session(python=OLDEST)
def example(session: nox.Session) -> None:
    """Each package under examples/, installed beside crmsync, passes its own tests."""
    session.install("-e", ".[all]", *group("test"))
    for project in sorted((ROOT / "examples").glob("*/pyproject.toml")):
        session.install(str(project.parent))
        session.run("pytest", str(project.parent))


@nox.session(python=OLDEST)
def soak(session: nox.Session) -> None:
    """Random histories for an hour, or as ``--minutes`` and ``--histories`` say; prints what it played."""
    session.install("-e", ".[all]", *group("test"))
    session.run("python", "-m", "tests.property.engine.soak", *session.posargs)


@nox.session(python=OLDEST)
def fuzz(session: nox.Session) -> None:
    """Coverage-guided fuzzing of conversions and of expressions, a minute each; ``-- -max_total_time=600`` for longer.

    Atheris is built for Linux and macOS on x86 and ARM. What fails is left as a file in the session's directory.
    """
    session.install("-e", ".[all]", *group("fuzz"))
    found = session.create_tmp()
    for target in ("conversion", "expressions"):
        session.run(
            "python",
            "-m",
            "tests.fuzz",
            target,
            f"-artifact_prefix={found}/",
            *(session.posargs or ["-max_total_time=60"]),
            env={"PYTHONPATH": str(ROOT)},
        )


@nox.session(python=OLDEST)
def security(session: nox.Session) -> None:
    """Known weaknesses: of the code by bandit, of what it depends on by pip-audit (which needs a network)."""
    session.install(".[all]", *group("security"))
    session.run("bandit", "--quiet", "--recursive", "--configfile", "pyproject.toml", "src")
    installed = Path(session.create_tmp()) / "installed.txt"
    frozen = session.run("python", "-m", "pip", "freeze", "--exclude", "crmsync", silent=True)
    installed.write_text(str(frozen), encoding="utf-8")
    # Strict: what cannot be looked up is not safe by that.
    session.run(
        "pip-audit", "--strict", "--disable-pip", "--no-deps", "--requirement", str(installed), *session.posargs
    )


@nox.session(python=OLDEST)
def bench(session: nox.Session) -> None:
    """The benchmarks, or those that are named (``-- pure scale``), one after the other; prints what they measured."""
    session.install("-e", ".[all]", *group("bench"))
    every = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
    for name in session.posargs or every:
        session.run("python", str(ROOT / "benchmarks" / f"{name}.py"))


def group(name: str) -> tuple[str, ...]:
    """The requirements of a dependency group."""
    return nox.project.dependency_groups(PYPROJECT, name)


def build_wheel(session: nox.Session) -> str:
    """Build the wheel into the session's own directory and return its path."""
    out = Path(session.create_tmp()) / "dist"
    shutil.rmtree(out, ignore_errors=True)
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(ROOT))
    return str(next(out.glob("*.whl")))


def lowest_versions() -> list[str]:
    """One ``name==version`` for each direct dependency with a lower bound."""
    project = PYPROJECT["project"]
    direct = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    bounds = (re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9.]+)", requirement) for requirement in direct)
    return sorted({f"{bound[1]}=={bound[2]}" for bound in bounds if bound})
