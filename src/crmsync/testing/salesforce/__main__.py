"""``python -m crmsync.testing.salesforce``: serve until standard input closes or SIGTERM; see ``--help``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from pathlib import Path

from crmsync.testing.salesforce import EmulatorServer, SalesforceOrg


def main(arguments: list[str] | None = None) -> int:
    """Serve an emulator. Prints one JSON line, ``{"url", "access_token"}``, once connections are accepted."""
    options = _parser().parse_args(arguments)
    org = SalesforceOrg(
        external_id_field=not options.no_external_id,
        hide_opt_out=options.hide_opt_out,
        person_accounts=options.person_accounts,
        daily_limit=options.daily_limit,
        bulk_seconds=options.bulk_seconds,
        bulk_seconds_per_record=options.bulk_seconds_per_record,
    )
    org.faults.latency = options.latency
    try:
        server = EmulatorServer(
            org,
            options.host,
            options.port,
            control=not options.no_control,
            certificate=tuple(options.certificate) if options.certificate else None,
            state_file=options.state,
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"crmsync emulator: {error}\n")
        return 1
    threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    server.run(ready=lambda url: _announce(url, org.access_token))
    return 0


def _announce(url: str, access_token: str) -> None:
    sys.stdout.write(json.dumps({"url": url, "access_token": access_token}) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m crmsync.testing.salesforce", description="A Salesforce emulator.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, metavar="FILE", help="JSON file that keeps the records between starts")
    parser.add_argument(
        "--certificate", type=Path, nargs=2, metavar=("CERTIFICATE", "KEY"), help="PEM files; serve https with them"
    )
    parser.add_argument("--daily-limit", type=int, default=100_000, metavar="CALLS")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="for each call")
    parser.add_argument("--bulk-seconds", type=float, default=0.0, metavar="SECONDS", help="that a bulk job takes")
    parser.add_argument(
        "--bulk-seconds-per-record", type=float, default=0.0, metavar="SECONDS", help="longer for each of its records"
    )
    parser.add_argument("--no-control", action="store_true", help="do not serve /__emulator__/")
    parser.add_argument("--no-external-id", action="store_true", help="an org without MarkMail_Id__c")
    parser.add_argument("--hide-opt-out", action="store_true", help="an org whose HasOptedOutOfEmail is hidden")
    parser.add_argument("--person-accounts", action="store_true", help="an org with person accounts")
    return parser


def _stop_at_end_of_input(server: EmulatorServer) -> None:
    # The raw descriptor: a reader blocked in sys.stdin would hold its lock at interpreter exit.
    while os.read(0, 4096):
        pass
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
