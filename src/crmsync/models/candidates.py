"""Whom a record that waits for a decision may belong to, or what else stands in its way."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from crmsync.models.records import Side
from crmsync.models.schema import PublicModel


class Candidate(PublicModel):
    """A record by its id, with the ``side`` that it is of. None: it was noted by a version that did not say."""

    id: str
    side: Side | None = None

    @model_validator(mode="before")
    @classmethod
    def _id_alone(cls, given: Any) -> Any:
        """As older versions have stored it."""
        return {"id": given} if isinstance(given, str) else given
