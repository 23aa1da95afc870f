"""Emulators for the peers, and a certificate authority for those that insist on https."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trustme

from crmsync.testing.salesforce import RunningEmulator, running_emulator


@attrs.frozen
class Authority:
    """PEM files: an authority's certificate, and one of loopback with its key."""

    certificate: Path
    loopback: tuple[Path, Path]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority of this test process."""
    directory = tmp_path_factory.mktemp("authority")
    made = trustme.CA()
    issued = made.issue_cert("127.0.0.1", "localhost")
    files = Authority(directory / "ca.pem", (directory / "loopback.pem", directory / "loopback.key"))
    made.cert_pem.write_to_path(files.certificate)
    issued.cert_chain_pems[0].write_to_path(files.loopback[0])
    issued.private_key_pem.write_to_path(files.loopback[1])
    return files


@pytest.fixture
def emulator() -> Iterator[RunningEmulator]:
    """An emulator over http."""
    with running_emulator() as running:
        yield running


@pytest.fixture
def secure_emulator(authority: Authority) -> Iterator[RunningEmulator]:
    """An emulator over https."""
    with running_emulator(certificate=authority.loopback) as running:
        yield running
