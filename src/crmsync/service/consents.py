"""Changes of people's consent, in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from crmsync.diff import PersonMarks
from crmsync.models.consents import ConsentChange
from crmsync.models.records import Side
from crmsync.security.audit import AuditWriter

_NOTED: Final = 200
"""Changes that one entry of the audit log names."""


@attrs.frozen(slots=True)
class AuditedConsents:
    """A `ConsentLog`. People are named by their marks: who knows an id can look them up, and an erased one is unknown.

    The mark is that of the local record, as in ``crm_erasures``.
    """

    audit: AuditWriter
    marks: PersonMarks
    integration_id: str
    entity_type: str

    async def note(self, changes: Sequence[ConsentChange]) -> None:
        """See `ConsentLog`."""
        for start in range(0, len(changes), _NOTED):
            said = [
                {
                    "person": self.marks.record(self.entity_type, Side.LOCAL, one.markmail_id).hex(),
                    "side": one.side.value,
                    "field": one.field,
                    "to": "opted out" if one.restricts else "opted in",
                }
                for one in changes[start : start + _NOTED]
            ]
            await self.audit.write("consents.changed", self.integration_id, entity_type=self.entity_type, changes=said)
