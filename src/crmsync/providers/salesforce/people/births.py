"""What a new person becomes, and what a lead must have that a contact has not: a company."""

from __future__ import annotations

from typing import Final

import attrs

from crmsync.models.records import Fields, Record
from crmsync.providers.salesforce.people.options import ContactRule

COMPANY: Final = "Company"
"""A field of leads alone. The company of a contact is its account's name."""


@attrs.frozen(slots=True)
class Births:
    """``company`` stands in a lead's required field where the person has none, and is read as blank."""

    company: str
    rule: ContactRule | None = None

    def is_contact(self, fields: Fields) -> bool:
        """Whether a new person with these fields becomes a contact and not a lead."""
        return self.rule is not None and self.rule.holds(fields)

    def as_contact(self, fields: Fields) -> Fields:
        """What of a new person's fields a contact can hold."""
        return {name: value for name, value in fields.items() if name != COMPANY}

    def as_lead(self, fields: Fields, *, creates: bool) -> Fields:
        """A person's fields as a lead takes them."""
        if not creates and COMPANY not in fields:
            return fields
        return {**fields, COMPANY: fields.get(COMPANY) or self.company}

    def read(self, record: Record) -> Record:
        """A lead as a person."""
        if record.fields.get(COMPANY) != self.company:
            return record
        return attrs.evolve(record, fields={**record.fields, COMPANY: None})
