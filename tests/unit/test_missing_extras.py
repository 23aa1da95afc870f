"""Each part whose packages are absent says which extra brings them; what is ours and broken says what it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

BY_JWT = (
    "from datetime import UTC, datetime; from crmsync.models.secrets import Secret; from crmsync.providers.salesforce"
    " import oauth; oauth.jwt_bearer('', {'client_id': Secret('a'), 'username': Secret('b')}, '', audience='',"
    " now=datetime.now(UTC))"
)
PARTS = [
    ("Registry().provider('salesforce')", "httpx2", "salesforce"),
    ("Registry().provider('salesforce')", "tenacity", "salesforce"),
    (BY_JWT, "jwt", "salesforce"),
    ("Registry().load(STORAGE, 'sqlite')", "sqlalchemy", "sql"),
    ("Registry().load(STORAGE, 'postgresql')", "alembic", "sql"),
    ("Registry().load(RECORDS, 'sql')", "sqlalchemy", "sql"),
    ("Registry().key_source('keyring:production')", "keyring", "keyring"),
    ("Registry().key_source('aws-kms:1234abcd-12ab-34cd-56ef-1234567890ab')", "boto3", "aws"),
    ("from crmsync.mapping import evaluate; evaluate('a', {'a': 1})", "lark", "expressions"),
    ("from crmsync.mapping import evaluate; evaluate('matches(a, \"x\")', {'a': 'x'})", "re2", "expressions"),
    ("from crmsync.storage.backup_places import read; list(read('s3://bucket/key'))", "obstore", "backup"),
    ("import crmsync.testing.salesforce", "starlette", "emulator"),
    ("import crmsync.testing.salesforce", "lark", "emulator"),
    ("import crmsync.testing.salesforce", "jwt", "emulator"),
    ("import crmsync.testing.salesforce", "defusedxml", "emulator"),
    ("import crmsync.testing.provider", "pytest", "testing"),
    ("import crmsync.testing.records", "pytest", "testing"),
    ("import crmsync.testing.repository", "pytest", "testing"),
    ("from crmsync.mapping.suggestions import spelling_ratio; spelling_ratio()", "rapidfuzz", "suggest"),
    ("from crmsync.mapping.phones import known_regions; known_regions()", "phonenumbers", "phone"),
]

WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({absent!r}))  # importing one of these now fails as if it were not installed
from crmsync.errors import MissingExtraError
from crmsync.registry import RECORDS, STORAGE, Registry
try:
    {program}
except MissingExtraError as error:
    print(error.extra, error, sep="\\n")
"""


def without(absent: list[str], program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter where these packages cannot be imported."""
    code = WITHOUT.format(absent=absent, program=program)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program,absent,extra", PARTS)
def test_a_part_without_its_packages_names_its_extra(program: str, absent: str, extra: str) -> None:
    done = without([absent], program)
    assert done.returncode == 0, done.stderr
    named, message = done.stdout.splitlines()
    assert named == extra
    assert message.endswith(f"pip install 'crmsync[{extra}]'")


def test_the_command_line_without_its_packages_says_so_and_ends_with_2() -> None:
    done = without(["typer"], "from crmsync.cli import main; sys.exit(main(['status']))")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'crmsync[cli]'")


def test_the_core_needs_no_extra() -> None:
    extras = [
        "alembic",
        "boto3",
        "faker",
        "httpx2",
        "keyring",
        "obstore",
        "lark",
        "phonenumbers",
        "rapidfuzz",
        "psycopg",
        "re2",
        "rich",
        "sqlalchemy",
        "starlette",
        "tenacity",
        "typer",
    ]
    done = without(extras, "import crmsync; print([getattr(crmsync, name) for name in crmsync.__all__])")
    assert done.returncode == 0, done.stderr
