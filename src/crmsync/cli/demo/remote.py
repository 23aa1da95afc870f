"""The demo's people as Contacts of the CRM."""

from __future__ import annotations

from typing import Any

from crmsync.cli.demo.people import Person


def contact_of(person: Person) -> dict[str, Any]:
    """A person as someone at the CRM would have typed them in."""
    return {
        "Email": person.email,
        "FirstName": person.first_name,
        "LastName": person.last_name,
        "Phone": person.phone or None,
        "MarkMail_Company__c": person.company or None,
        "MarkMail_Tags__c": ";".join(person.tags) or None,
        "HasOptedOutOfEmail": person.opted_out,
    }
