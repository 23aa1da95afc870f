"""``Sforce-Limit-Info``: what the org says of its allowance of API calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

_ENTRY = re.compile(r"\s*([a-z][a-z-]*)\s*=\s*(\d{1,15})/(\d{1,15})(?:\(appName=([^)]*)\))?\s*")

_CALL_WORTH: Final = 0.1
RESERVE: Final = 20
"""Calls that a run still needs for its other work; what a channel takes must leave them."""


@attrs.frozen(slots=True)
class ApiUsage:
    """One count of the header: calls used and allowed in the last 24 hours. ``app`` names the app it is kept for."""

    used: int
    limit: int
    app: str | None = None


def parse_limit_info(header: str) -> dict[str, ApiUsage]:
    """The counts by key, such as ``api-usage``, ``per-app-api-usage``, ``api-bursts``; anything unreadable is left out.

    Values are read by key, since the keys vary with the org ("API Usage Headers", REST API Developer Guide). They do
    not grow monotonically: servers of an org count apart and meet later, and the window slides.
    """
    found = (_ENTRY.fullmatch(part) for part in header.split(";"))
    return {match[1]: ApiUsage(int(match[2]), int(match[3]), match[4]) for match in found if match}


def tightest(usages: Mapping[str, ApiUsage]) -> ApiUsage | None:
    """Of the org's count and that of our own app, if it has one, the one of which less is left."""
    counted = [usages[key] for key in ("api-usage", "per-app-api-usage") if key in usages and usages[key].limit]
    return max(counted, key=lambda usage: usage.used / usage.limit, default=None)


@attrs.frozen(slots=True)
class CallsLeft:
    """How many calls may still be made (None: nobody said), and which part of the org's allowance is left."""

    left: int | None = None
    share: float = 1.0

    @property
    def worth(self) -> float:
        """The seconds that a call is worth: a tenth while the allowance is whole, more as it shrinks."""
        return _CALL_WORTH / self.share

    @classmethod
    def of(cls, usage: ApiUsage | None, budget: int | None) -> CallsLeft:
        """From what the org says and what our own budget leaves."""
        org = max(0, usage.limit - usage.used) if usage else None
        known = [left for left in (org, budget) if left is not None]
        share = org / usage.limit if org is not None and usage and usage.limit else 1.0
        return cls(min(known, default=None), max(share, 0.01))
