"""What a connection's settings say about people."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from crmsync.models.records import MISSING, Fields
from crmsync.providers.salesforce.objects.options import ApiName

PERSON: Final = "Person"
"""The object of both, by its name. Salesforce has no object of this name, and custom ones end in ``__c``."""


class PeopleMode(enum.StrEnum):
    """What the people of the org are."""

    CONTACT = "contact"
    LEAD = "lead"
    LEAD_THEN_CONTACT = "lead_then_contact"

    @property
    def object_name(self) -> str:
        """The object that the verbs on contacts work with."""
        return {self.CONTACT: "Contact", self.LEAD: "Lead", self.LEAD_THEN_CONTACT: PERSON}[self]

    @property
    def objects(self) -> tuple[str, ...]:
        """The objects of Salesforce that people are records of."""
        return ("Contact", "Lead") if self is self.LEAD_THEN_CONTACT else (self.object_name,)


class ContactRule(BaseModel):
    """Which new people become contacts at once: those of whom ``field`` holds one of the ``values``.

    The field is the CRM's. Values are compared as text, whatever their case, a flag as ``true`` or ``false``; of a
    field that holds several values one is enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    field: ApiName
    values: tuple[str, ...] = Field(min_length=1)

    def holds(self, fields: Fields) -> bool:
        """Whether a new person with these fields becomes a contact."""
        value = fields.get(self.field, MISSING)
        held: Sequence[object] = value if isinstance(value, tuple) else () if value in (MISSING, None) else (value,)
        return not {_text(one) for one in held}.isdisjoint(map(_text, self.values))


def _text(value: object) -> str:
    return str(value).strip().casefold()
