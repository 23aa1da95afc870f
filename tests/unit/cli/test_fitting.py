"""Tables on terminals that are too narrow for them."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crmsync.cli.output import Format, Output
from crmsync.cli.record_views import conflict_view, conflicts_table, links_table, reject_view, rejects_table
from crmsync.cli.tables import problems_table, table
from crmsync.models.candidates import Candidate
from crmsync.models.inbox import Reject, RejectReason
from crmsync.models.records import Side
from crmsync.models.runs import RecordProblem
from crmsync.models.state import Conflict, ConflictStatus, Link, LinkStatus

NOW = dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)
OURS, THEIRS, OTHER = str(uuid.UUID(int=17 << 90)), "003000000000001AAA", str(uuid.UUID(int=19 << 95))
CANDIDATES = (Candidate(id=OTHER, side=Side.LOCAL), Candidate(id=THEIRS, side=Side.REMOTE))
WHY = "1 more record(s) of the local side have the same e-mail"
REJECT = Reject(
    integration_id="acme",
    entity_type="Contact",
    markmail_id=OURS,
    crm_id=THEIRS,
    status=LinkStatus.QUARANTINED,
    born=Side.LOCAL,
    linked=True,
    reasons=(RejectReason(code="duplicate", message=WHY, remedy="merge the duplicates, or change an e-mail"),),
    candidates=CANDIDATES,
    attempts=3,
    failing_since=NOW,
)
CONFLICT = Conflict(
    id=OTHER,
    integration_id="acme",
    entity_type="Contact",
    markmail_id=OURS,
    crm_id=THEIRS,
    field="company",
    crm_field="MarkMail_Company__c",
    local_value="Engines of Difference",
    remote_value="Engines, analytical",
    policy="ask",
    status=ConflictStatus.OPEN,
    run_id="r",
)
PROBLEM = RecordProblem(
    markmail_id=OURS, crm_id=THEIRS, code="duplicate", field="last_name", message=WHY, candidates=CANDIDATES
)
HISTORY = ("written (UTC)", "record", "write", "field", "before", "after", "because", "run")
WRITTEN = (
    "2026-03-01 09:30:00",
    f"{OURS}",
    "update CRM",
    "MarkMail_Company__c",
    "(blank)",
    "Engines",
    "ours",
    "ab12cd34",
)


def shown(made: Table, width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(made)
    text = captured.get()
    assert all(len(line) <= width for line in text.splitlines())
    return text


@pytest.mark.parametrize(
    "made, whole",
    [
        (rejects_table([REJECT]), [OURS, THEIRS, OTHER, "quarantined"]),
        (links_table([Link("acme", "Contact", OURS, THEIRS)]), [OURS, THEIRS]),
        (conflicts_table([CONFLICT]), [OTHER[:8], OURS, "MarkMail_Company__c"]),
        (problems_table([PROBLEM], 1), [OURS, THEIRS, OTHER]),
        (table(*HISTORY, rows=[WRITTEN]), list(WRITTEN)),
    ],
    ids=["rejects", "links", "conflicts", "problems", "history"],
)
def test_ids_stay_whole_at_80_columns(made: Table, whole: list[str]) -> None:
    text = shown(made)
    assert [one for one in whole if one not in text] == []


@pytest.mark.parametrize("width", [20, 30, 37, 44, 50, 60])
@pytest.mark.parametrize(
    "made, whole",
    [
        (rejects_table([REJECT]), [OURS, THEIRS, OTHER, "quarantined"]),
        (reject_view(REJECT), [OURS, THEIRS, OTHER]),
        (links_table([Link("acme", "Contact", OURS, THEIRS)]), [OURS, THEIRS]),
        (conflicts_table([CONFLICT]), [OTHER[:8], OURS]),
        (conflict_view(CONFLICT), [OTHER, OURS, THEIRS]),
        (problems_table([PROBLEM], 1), [OURS, THEIRS, OTHER]),
        (table(*HISTORY, rows=[WRITTEN]), list(WRITTEN[1:2])),
        (table("field", "", rows=[("digest", "0f" * 32)]), ["0f" * 32]),
    ],
    ids=["rejects", "reject", "links", "conflicts", "conflict", "problems", "history", "digest"],
)
def test_ids_stay_whole_on_any_terminal(
    made: Table, whole: list[str], width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Output(Format.HUMAN, width=width).show(made)
    text = capsys.readouterr().out
    assert [one for one in whole if one not in text] == []


def test_a_line_wraps_between_words_and_never_within_an_id(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Format.HUMAN, width=20)
    output.show(Text(f"what run {OURS} wrote is taken back"))
    output.show(Text("words that fit are wrapped"), Text("=" * 100))
    lines = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in lines] == [
        "what run",
        OURS,
        "wrote is taken back",
        "words that fit are",
        "wrapped",
        "=" * 64,
        "=" * 36,
    ]


def test_counts_are_never_cut_short() -> None:
    made = table(
        "", "read", "created", rows=[("local", "123456789", "12"), ("CRM", "5", "")], tight=("read", "created")
    )
    assert [line.rstrip() for line in shown(made, 16).splitlines()] == [
        "",
        "local",
        "read 123456789",
        "created 12",
        "",
        "CRM",
        "read 5",
        "",
    ]


def test_ids_of_a_list_of_two_columns_stay_whole_on_a_narrow_terminal() -> None:
    text = shown(rejects_table([REJECT]), 70)
    assert [one for one in (OURS, THEIRS, OTHER) if one not in text] == []


def test_what_is_known_of_one_thing_stays_a_table_of_two_columns() -> None:
    text = shown(table("acme Contact", "", rows=[("local id", OURS), ("candidate", OTHER)]), 45)
    assert (text.count("acme"), text.count("local id")) == (1, 1)


def test_a_row_that_has_no_room_is_a_block_of_lines_without_its_empty_cells() -> None:
    rows = [("1", OURS, THEIRS), ("2", "", OTHER)]
    made = table("no", "local id", "CRM id", rows=rows, title="Two")
    assert [line.rstrip() for line in shown(made, 50).splitlines()] == [
        "Two",
        "",
        "no        1",
        f"local id  {OURS}",
        f"CRM id    {THEIRS}",
        "",
        "no      2",
        f"CRM id  {OTHER}",
        "",
    ]
    assert len(shown(made, 90).splitlines()) == 7


def test_room_goes_to_the_columns_that_want_it() -> None:
    text = shown(table("id", "why", rows=[(OURS, "a word or two " * 9)]))
    [line] = [line for line in text.splitlines() if OURS in line]
    assert len(line.rstrip()) > 70
