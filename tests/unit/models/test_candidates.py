"""Candidates: an id and its side; those of older versions are ids alone."""

from __future__ import annotations

from crmsync.models.candidates import Candidate
from crmsync.models.records import Side
from crmsync.models.runs import RecordProblem


def test_a_candidate_keeps_its_side_through_json() -> None:
    one = Candidate(id="003", side=Side.LOCAL)
    assert Candidate.model_validate_json(one.model_dump_json()) == one


def test_an_older_version_s_report_is_read_with_candidates_of_a_side_unknown() -> None:
    problem = RecordProblem.model_validate({"code": "duplicate", "message": "m", "candidates": ["003", "7"]})
    assert problem.candidates == (Candidate(id="003"), Candidate(id="7"))
