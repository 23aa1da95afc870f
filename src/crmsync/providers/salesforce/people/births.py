"""What a new person becomes, and what the two have each in their own way: a company."""

from __future__ import annotations

from typing import Final

import attrs

from crmsync.errors import RecordError
from crmsync.models.records import Fields, Outcome, Record
from crmsync.providers.salesforce.people.options import ContactRule

COMPANY: Final = "Company"
"""A person's company: a field of leads. The company of a contact is its account's name."""


@attrs.frozen(slots=True)
class Births:
    """``company`` stands in a lead's required field where the person has none, and is read as blank.

    ``contact_company`` is the field of contacts that is their company, None where they have none that may be written.
    """

    company: str
    rule: ContactRule | None = None
    contact_company: str | None = None

    def is_contact(self, fields: Fields) -> bool:
        """Whether a new person with these fields becomes a contact and not a lead."""
        return self.rule is not None and self.rule.holds(fields)

    def as_contact(self, fields: Fields, *, creates: bool) -> Fields:
        """A person's fields as a contact takes them; what of them a new one cannot hold is left out."""
        if self.contact_company:
            return {self.of_contact(name): value for name, value in fields.items()}
        return {name: value for name, value in fields.items() if name != COMPANY} if creates else fields

    def of_contact(self, name: str) -> str:
        """A contact's name of a person's field."""
        return self.contact_company if name == COMPANY and self.contact_company else name

    def as_lead(self, fields: Fields, *, creates: bool) -> Fields:
        """A person's fields as a lead takes them."""
        if not creates and COMPANY not in fields:
            return fields
        return {**fields, COMPANY: fields.get(COMPANY) or self.company}

    def read(self, record: Record) -> Record:
        """A lead or a contact as a person."""
        fields = record.fields
        if self.contact_company and self.contact_company in fields:
            fields = {self._of_person(name): value for name, value in fields.items()}
        elif fields.get(COMPANY) == self.company:
            fields = {**fields, COMPANY: None}
        return record if fields is record.fields else attrs.evolve(record, fields=fields)

    def answered(self, outcome: Outcome) -> Outcome:
        """What became of a lead or a contact, in a person's words."""
        for error in (outcome.error, *outcome.unwritten):
            if isinstance(error, RecordError) and error.field:
                error.field = self._of_person(error.field)
        return attrs.evolve(outcome, stored=self.read(outcome.stored)) if outcome.stored else outcome

    def _of_person(self, name: str) -> str:
        return COMPANY if name == self.contact_company else name
