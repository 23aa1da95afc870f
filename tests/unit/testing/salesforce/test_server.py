"""The emulator over real connections on loopback: in a thread, in a child process."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest
import trustme

from crmsync.testing.salesforce import SalesforceOrg, emulator_process, running_emulator, serve

DATA = "/services/data/v68.0"


def test_a_thread_serves_an_org_that_the_test_holds() -> None:
    with running_emulator(daily_limit=50) as emulator:
        record_id = emulator.org.create("Contact", {"LastName": "Ng"})
        headers = {"Authorization": f"Bearer {emulator.access_token}"}
        with httpx2.Client(base_url=emulator.url, headers=headers) as client:
            response = client.get(f"{emulator.url}//{DATA[1:]}/sobjects/Contact/{record_id}")
            assert response.json()["LastName"] == "Ng"
            assert response.headers["Sforce-Limit-Info"] == "api-usage=1/50"
            assert client.get("/__emulator__").json()["records"]["Contact"] == 1
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{emulator.url}/services/data")


@pytest.mark.parametrize("after_commit,saved", [(False, 0), (True, 1)])
def test_a_dropped_connection_is_cut_without_an_answer(*, after_commit: bool, saved: int) -> None:
    with running_emulator() as emulator:
        headers = {"Authorization": f"Bearer {emulator.access_token}"}
        with httpx2.Client(base_url=emulator.url, headers=headers) as client:
            emulator.org.faults.drop_next(after_commit=after_commit)
            with pytest.raises(httpx2.TransportError):
                client.post(f"{DATA}/sobjects/Contact", json={"LastName": "Ng"})
            assert len(emulator.org.records("Contact")) == saved
            assert client.get(f"{DATA}/limits").status_code == 200


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    """Without TCP_NODELAY every one of them takes 40 ms; with it the fastest does not, however busy the machine is."""
    took = []
    with running_emulator() as emulator, httpx2.Client(base_url=emulator.url) as client:
        for _ in range(20):
            begun = time.perf_counter()
            client.get("/services/data")
            took.append(time.perf_counter() - begun)
    assert min(took) < 0.03


@pytest.fixture
def authority(tmp_path: Path) -> ssl.SSLContext:
    """A client that trusts an authority which signed a certificate for loopback; its PEM files are in ``tmp_path``."""
    made = trustme.CA()
    issued = made.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    made.configure_trust(context)
    return context


def test_with_a_certificate_it_speaks_https_and_names_itself_so(authority: ssl.SSLContext, tmp_path: Path) -> None:
    with running_emulator(certificate=(tmp_path / "certificate.pem", tmp_path / "key.pem")) as emulator:
        assert emulator.url.startswith("https://127.0.0.1:")
        headers = {"Authorization": f"Bearer {emulator.access_token}"}
        with httpx2.Client(base_url=emulator.url, headers=headers, verify=authority) as client:
            identity = client.get(DATA).json()["identity"]
            assert identity.startswith(f"{emulator.url}/id/")
            emulator.org.faults.drop_next()
            with pytest.raises(httpx2.TransportError):
                client.get(f"{DATA}/limits")


def test_a_child_process_speaks_https_too(authority: ssl.SSLContext, tmp_path: Path) -> None:
    files = (str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))
    with emulator_process(("--certificate", *files)) as emulator:
        assert httpx2.get(f"{emulator.url}/services/data", verify=authority).status_code == 200


def test_an_address_in_use_is_an_error_at_once() -> None:
    with running_emulator() as emulator, pytest.raises(OSError, match="in use"):
        serve(SalesforceOrg(), port=int(emulator.url.rpartition(":")[2]))


@pytest.mark.parametrize("end", ["stdin", "SIGTERM", "SIGINT"])
def test_a_child_process_keeps_its_records_in_the_state_file_however_it_ends(tmp_path: Path, end: str) -> None:
    arguments = ("--state", str(tmp_path / "org.json"), "--daily-limit", "77")
    with emulator_process(arguments) as emulator:
        headers = {"Authorization": f"Bearer {emulator.access_token}"}
        url = f"{emulator.url}{DATA}/sobjects/Contact"
        response = httpx2.post(url, json={"LastName": "Kept"}, headers=headers)
        assert response.headers["Sforce-Limit-Info"] == "api-usage=1/77"
        if end != "stdin":
            os.kill(emulator.pid, signal.Signals[end])
    with emulator_process(arguments) as emulator:
        assert httpx2.get(f"{emulator.url}/__emulator__").json()["records"]["Contact"] == 1


def test_a_child_process_is_told_how_long_bulk_jobs_take() -> None:
    with emulator_process(("--bulk-seconds", "30", "--bulk-seconds-per-record", "0.5")) as emulator:
        options = httpx2.post(f"{emulator.url}/__emulator__/bulk", json={}).json()
    assert (options["seconds"], options["seconds_per_record"]) == (30, 0.5)


def test_the_state_file_is_written_on_request(tmp_path: Path) -> None:
    path = tmp_path / "org.json"
    with emulator_process(("--state", str(path))) as emulator:
        assert not path.exists()
        assert httpx2.post(f"{emulator.url}/__emulator__/save").json() == {"path": str(path)}
        assert path.exists()


def test_a_child_that_cannot_start_says_why_and_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "org.json"
    path.write_text("precious, but no state")
    command = [sys.executable, "-m", "crmsync.testing.salesforce", "--state", str(path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("crmsync emulator: ")
    assert path.read_text() == "precious, but no state"
    with pytest.raises(RuntimeError, match="exit code 1"), emulator_process(("--state", str(path))):
        pass


def test_serving_in_a_thread_of_ones_own_tells_when_it_is_ready() -> None:
    told: list[str] = []
    ready = threading.Event()

    def remember(url: str) -> None:
        told.append(url)
        ready.set()

    with running_emulator() as other:
        assert other.url.startswith("http://127.0.0.1:")
        thread = threading.Thread(target=serve, args=(SalesforceOrg(),), kwargs={"ready": remember}, daemon=True)
        thread.start()
        assert ready.wait(10)
        assert httpx2.get(f"{told[0]}/services/data").status_code == 200
