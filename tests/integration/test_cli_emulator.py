"""``crmsync emulator`` as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import httpx2


def test_the_emulator_serves_with_the_options_given_until_it_is_interrupted() -> None:
    options = [
        "--port",
        "0",
        "--format",
        "json",
        "--bulk-seconds",
        "30",
        "--bulk-seconds-per-record",
        "0.5",
        "--person-accounts",
    ]
    command = [sys.executable, "-m", "crmsync", "emulator", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            text = ""
            while not text.endswith("}\n"):
                line = process.stdout.readline()
                assert line, "the command has ended"
                text += line
            url = json.loads(text)["url"]
            bulk = httpx2.post(f"{url}/__emulator__/bulk", json={}).json()
            token = {"Authorization": f"Bearer {json.loads(text)['access_token']}"}
            account = httpx2.get(f"{url}/services/data/v68.0/sobjects/Account/describe", headers=token).json()
        finally:
            process.send_signal(signal.SIGINT)
    assert (bulk["seconds"], bulk["seconds_per_record"]) == (30, 0.5)
    assert "PersonEmail" in {field["name"] for field in account["fields"]}
    assert process.returncode == 0
