"""A problem: what is wrong, where, and what to do about it. Never a record's value."""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class Problem:
    """One fault in a mapping, a configuration or a record.

    ``path`` says where (``fields[3].crm_field``, ``Email``), ``code`` is stable and meant for programs, ``message`` is
    for people and holds no record value (but names an option that a restricted picklist lacks), ``remedy`` says what to
    do.
    """

    path: str
    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{self.path}: {self.message} [{self.code}]{remedy}"
