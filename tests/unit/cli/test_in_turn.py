"""What several objects of one command come to together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crmsync.cli.config import IntegrationSection
from crmsync.cli.exits import ExitCode
from crmsync.cli.in_turn import RunsInTurn
from crmsync.cli.output import Format, Output
from crmsync.cli.session import Target
from crmsync.errors import CRMError, DeleteGuardError, SyncPausedError, UnavailableError
from crmsync.models.runs import RunStatus

ACME = IntegrationSection(id="acme", provider="salesforce")
OTHER = IntegrationSection(id="other", provider="salesforce")
DUE = [Target(section, name) for section in (ACME, OTHER) for name in ("Contact", "Campaign")]
PARENTS = {"Campaign": ["Contact"]}
GUARD = DeleteGuardError(planned=9, limit=5)


def turns(ends: dict[str, CRMError | RunStatus], form: Format = Format.JSON) -> tuple[RunsInTurn, list[str]]:
    """The runs of two objects of two integrations, which end so (well, if it does not say), and those that began."""
    made, began = RunsInTurn(Output(form)), []
    with made.ending():
        for target, _ in made.each([(one, None) for one in DUE], lambda one: PARENTS.get(one.object_name, ())):
            began.append(str(target))
            end = ends.get(str(target), RunStatus.SUCCESS)
            with made.noting(target):
                if isinstance(end, CRMError):
                    raise end
                made.statuses.append(end)
    return made, began


def ended(made: RunsInTurn, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    code = made.end({"runs": len(made.statuses)})
    return code, json.loads(capsys.readouterr().out)


def test_all_go_their_way_where_nothing_happens(capsys: pytest.CaptureFixture[str]) -> None:
    made, began = turns({})
    assert began == ["acme Contact", "acme Campaign", "other Contact", "other Campaign"]
    assert ended(made, capsys) == (ExitCode.SUCCESS, {"runs": 4})


def test_a_stop_holds_what_builds_on_it_and_is_the_worst_that_happened(capsys: pytest.CaptureFixture[str]) -> None:
    made, began = turns({"acme Contact": GUARD, "other Contact": RunStatus.PARTIAL})
    assert began == ["acme Contact", "other Contact", "other Campaign"]
    code, told = ended(made, capsys)
    assert (code, told["runs"], told["error"]["code"]) == (ExitCode.SAFETY_STOP, 2, "delete_guard")


@pytest.mark.parametrize("end, code", [(RunStatus.SUCCESS, 0), (RunStatus.PARTIAL, 3), (GUARD, 4)])
def test_a_pause_leaves_an_integration_out_and_the_exit_code_is_that_of_the_others(
    end: CRMError | RunStatus, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    made, began = turns({"acme Contact": SyncPausedError("acme"), "other Contact": end})
    assert began[:2] == ["acme Contact", "other Contact"]
    given, told = ended(made, capsys)
    assert (given, told["paused"]) == (code, ["acme"])


def test_a_command_that_has_nothing_but_paused_integrations_fails() -> None:
    made, began = turns({str(one): SyncPausedError(one.integration.id) for one in DUE})
    assert began == ["acme Contact", "other Contact"]
    with pytest.raises(SyncPausedError, match="'acme'"):
        made.end({})


def test_an_error_ends_the_command_and_what_was_done_and_stopped_before_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made, began = turns({"acme Contact": GUARD, "other Contact": UnavailableError("no answer")})
    assert began == ["acme Contact", "other Contact"]
    code, told = ended(made, capsys)
    assert (code, told["error"]["code"], told["runs"]) == (ExitCode.FAILURE, "unavailable", 0)
    assert [one["entity_type"] for one in told["stopped"]] == ["Contact"]


def test_people_read_of_stops_and_pauses_before_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    made, _ = turns({"acme Contact": SyncPausedError("acme"), "other Campaign": UnavailableError("gone")}, Format.HUMAN)
    made.end({})
    said = " ".join(capsys.readouterr().err.split())
    assert "paused until `crmsync resume`: acme error: gone" in said
    assert "whatever else" not in said


def test_an_error_before_anything_was_done_is_the_caller_s() -> None:
    with pytest.raises(UnavailableError):
        turns({"acme Contact": UnavailableError("no answer")})
