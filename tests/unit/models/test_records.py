"""Records and the three blanks."""

from __future__ import annotations

import copy
import pickle

import pytest

from crmsync.models.plans import PlannedWrite
from crmsync.models.records import MISSING, Operation, OperationKind, Outcome, OutcomeStatus, Record, Side
from crmsync.models.state import Conflict, ConflictStatus, JournalEntry, Link


def test_missing_is_one_object_that_is_false_and_equals_no_value() -> None:
    assert not MISSING
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING
    assert copy.deepcopy(MISSING) is MISSING
    assert repr(MISSING) == "MISSING"
    assert all(blank != MISSING for blank in (None, "", 0, False, ()))


def test_the_sides_are_each_others_other() -> None:
    assert Side.LOCAL.other is Side.REMOTE
    assert Side.REMOTE.other is Side.LOCAL


@pytest.mark.parametrize(
    "value",
    [
        Record(id="1", fields={"Email": "ada@private.example"}),
        Operation(op_id="1", kind=OperationKind.CREATE, id=None, fields={"Email": "ada@private.example"}),
        Outcome(op_id="1", status=OutcomeStatus.CREATED, stored=Record(id="1", fields={"e": "ada@private.example"})),
        PlannedWrite(side=Side.LOCAL, kind=OperationKind.UPDATE, fields={"email": "ada@private.example"}),
        Link(integration_id="i", entity_type="Contact", markmail_id="1", local_shadow=b"ada@private.example"),
        JournalEntry(
            op_id="1",
            integration_id="i",
            entity_type="Contact",
            target=Side.REMOTE,
            kind=OperationKind.CREATE,
            markmail_id="1",
            crm_id=None,
            sent={"Email": b"ada@private.example"},
        ),
        Conflict(
            id="1",
            integration_id="i",
            entity_type="Contact",
            markmail_id="1",
            crm_id=None,
            field="email",
            crm_field="Email",
            policy="manual",
            status=ConflictStatus.OPEN,
            local_value="ada@private.example",
            remote_value="eve@private.example",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_record_values_never_shows_them(value: object) -> None:
    assert "private.example" not in repr(value)


@pytest.mark.parametrize("status", OutcomeStatus)
def test_an_outcome_is_good_unless_it_failed_or_found_nothing(status: OutcomeStatus) -> None:
    assert Outcome(op_id="1", status=status).ok is (status not in {OutcomeStatus.FAILED, OutcomeStatus.MISSING})
