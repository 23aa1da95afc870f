from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from crmsync.providers.salesforce.tls import TlsContexts


@pytest.fixture
def contexts() -> TlsContexts:
    return TlsContexts()


def test_connections_of_a_thread_share_one_that_verifies(contexts: TlsContexts) -> None:
    shared = contexts.current()
    assert shared is contexts.current()
    assert shared.check_hostname
    assert shared.verify_mode is ssl.CERT_REQUIRED


def test_each_thread_has_its_own(contexts: TlsContexts) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(contexts.current).result() is not contexts.current()
        assert pool.submit(contexts.current).result() is pool.submit(contexts.current).result()


def test_certificates_that_are_named_later_are_taken_at_once(
    contexts: TlsContexts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contexts.current()
    authority = trustme.CA(organization_name="Ours")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert "Ours" in str(contexts.current().get_ca_certs())
    assert "Ours" not in str(before.get_ca_certs())


def test_certificates_are_read_again_after_an_hour() -> None:
    times = iter([0.0, 3599.0, 3600.0, 7199.0])
    contexts = TlsContexts(lambda: next(times))
    first, within, later, still = (contexts.current() for _ in range(4))
    assert first is within
    assert within is not later
    assert later is still
