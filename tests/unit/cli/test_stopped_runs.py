"""Which objects go on after a guard has stopped the run of another."""

from __future__ import annotations

import json

import pytest

from crmsync.cli.config import IntegrationSection
from crmsync.cli.output import Format, Output
from crmsync.cli.session import Target
from crmsync.cli.stopped_runs import StoppedRuns
from crmsync.errors import (
    BudgetExceededError,
    ConfigurationError,
    CRMError,
    DeleteGuardError,
    SafetyStopError,
    SyncPausedError,
)
from crmsync.models.runs import RunStatus

ACME = IntegrationSection(id="acme", provider="salesforce")
OTHER = IntegrationSection(id="other", provider="salesforce")
CONTACT = Target(ACME, "Contact")
GUARD = DeleteGuardError(planned=9, limit=5)


def stop(stops: StoppedRuns, error: CRMError, form: Format = Format.JSON) -> None:
    """A guard, or a pause, stops the contacts of acme."""
    with stops.noting(CONTACT, Output(form)):
        raise error


def stopped(error: SafetyStopError) -> StoppedRuns:
    """A guard has stopped the contacts of acme."""
    stops = StoppedRuns()
    stop(stops, error)
    return stops


def test_nothing_is_held_before_a_stop() -> None:
    stops = StoppedRuns()
    assert not stops.hold(Target(ACME, "CampaignMember"), {"Contact"})
    assert (bool(stops), stops.payload(), stops.statuses) == (False, {}, [])


def test_what_builds_on_a_stopped_object_is_held_and_what_builds_on_that_too() -> None:
    stops = stopped(GUARD)
    assert stops.hold(Target(ACME, "Visit"), {"Contact"})
    assert stops.hold(Target(ACME, "VisitNote"), {"Visit"})
    assert not stops.hold(Target(ACME, "Campaign"), ())
    assert [entry["because_of"] for entry in stops.payload()["held"]] == ["Contact", "Visit"]


def test_another_integration_of_the_same_object_goes_on() -> None:
    stops = stopped(GUARD)
    assert not stops.hold(Target(OTHER, "Contact"), ())
    assert not stops.hold(Target(OTHER, "CampaignMember"), {"Contact"})


@pytest.mark.parametrize("scope, held", [("run", False), ("day", True), ("org", True)])
def test_a_budget_of_the_whole_integration_holds_all_its_objects(scope: str, held: bool) -> None:
    stops = stopped(BudgetExceededError(4, 4, scope=scope))  # type: ignore[arg-type]  # one of the three
    assert stops.hold(Target(ACME, "Campaign"), ()) is held
    assert not stops.hold(Target(OTHER, "Campaign"), ())


def test_a_stop_is_told_at_once_with_its_object_and_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    stops = StoppedRuns()
    stop(stops, GUARD, Format.HUMAN)
    said = capsys.readouterr().err
    assert "error: acme Contact: " in said
    assert "what to do: look at `crmsync stops show`" in said
    stops.hold(Target(ACME, "CampaignMember"), {"Contact"})
    assert stops.summary() == (
        "stopped by a guard: acme Contact; not run, since they build on what was stopped: acme CampaignMember;"
        " whatever else was selected was run"
    )
    assert stops.statuses == [RunStatus.STOPPED]


def test_the_json_form_has_the_first_stop_as_the_error() -> None:
    payload = json.loads(json.dumps(stopped(GUARD).payload()))
    assert payload["error"]["code"] == payload["stopped"][0]["error"]["code"] == "delete_guard"
    assert (payload["stopped"][0]["entity_type"], payload["held"]) == ("Contact", [])


def test_a_pause_leaves_out_all_objects_of_its_integration_and_is_no_error() -> None:
    stops = StoppedRuns()
    stop(stops, SyncPausedError("acme"))
    assert stops.hold(Target(ACME, "Campaign"), ())
    assert not stops.hold(Target(OTHER, "Campaign"), ())
    assert (bool(stops), stops.payload(), stops.statuses) == (True, {"paused": ["acme"]}, [])
    assert stops.summary(ended=False) == "left out, since their syncs are paused until `crmsync resume`: acme"


def test_any_other_error_ends_the_command() -> None:
    with pytest.raises(ConfigurationError), StoppedRuns().noting(CONTACT, Output(Format.JSON)):
        raise ConfigurationError("no")
