"""The test of the tests: engines with known faults of other systems break a promise, and this one does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.property.engine.breaking import HISTORIES, Mutant, Patch, StaleMutantError, broken_copy
from tests.property.engine.mutants import MUTANTS
from tests.property.engine.trial import try_engine


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_machine_notices_the_broken_engine(mutant: Mutant, tmp_path: Path) -> None:
    """By the smallest history that it found; ``nox -s soak -- --record NAME`` finds one anew."""
    verdict = try_engine(broken_copy(mutant, tmp_path), "play", str(mutant.history))
    assert verdict.broken is not None, f"{mutant.history.name} no longer shows that {mutant.fault}"
    assert verdict.broken.startswith("broken promise ")


def test_the_engine_as_it_is_keeps_every_promise_in_the_same_histories(tmp_path: Path) -> None:
    """Tried in the same way, from a copy, so that it is the faults that are noticed."""
    files = sorted(str(mutant.history) for mutant in MUTANTS)
    verdict = try_engine(broken_copy(None, tmp_path), "play", *files)
    assert verdict.broken is None, verdict.broken
    assert verdict.played == len(MUTANTS)


def test_no_history_is_kept_without_its_mutant() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == {mutant.name for mutant in MUTANTS}


def test_a_mutant_whose_text_is_gone_is_no_mutant(tmp_path: Path) -> None:
    stale = Mutant("stale", "its text is gone", (Patch("diff/settle.py", "no such text", ""),))
    with pytest.raises(StaleMutantError, match=r"mutant stale: diff/settle.py has 0 times: 'no such text'"):
        broken_copy(stale, tmp_path)


def test_an_engine_that_cannot_be_imported_is_no_broken_promise(tmp_path: Path) -> None:
    wrong = Mutant("wrong", "it is no Python", (Patch("engine/run.py", "async def run(ctx", "async deaf run(ctx"),))
    with pytest.raises(AssertionError, match="SyntaxError"):
        try_engine(broken_copy(wrong, tmp_path), "play", str(MUTANTS[0].history))


def test_the_story_of_a_broken_engine_says_who_did_what_and_which_incident_struck(tmp_path: Path) -> None:
    """A create that is sent again when its answer was lost: one person becomes two."""
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == "blind-retry-of-a-create")
    story = try_engine(broken_copy(mutant, tmp_path), "play", str(mutant.history)).broken or ""
    told = [line.strip() for line in story.splitlines()]
    assert told[0].startswith("broken promise 7 ")
    assert told[0].endswith(": p0 is 2 times at acme")
    deed = told.index("local: p0 is entered")
    (incident,) = (told.index(line) for line in told if "acme.write 1 takes effect, but the answer is lost" in line)
    assert deed < incident < told.index("all comes to rest")
    assert told[incident].startswith("run acme, ")
    assert told[-1].startswith("CRMSYNC_REPLAY='{")
