"""What a plan says of statuses that members are to get and their campaigns lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from crmsync.models.problems import Problem
from crmsync.providers.salesforce.objects.campaign_statuses import CampaignStatuses, Wanted, folded

_PATH: Final = "campaigns.create_member_statuses"
_SHOWN: Final = 5
"""Statuses that a message names."""


async def status_advice(statuses: CampaignStatuses, wanted: Iterable[Wanted]) -> list[Problem]:
    """Which of these would be made, and which refused, if they were written now."""
    lacking = await statuses.lacking(wanted)
    refused = await statuses.impossible(lacking)
    told = []
    if made := lacking - refused.keys():
        message = f"member statuses are created that campaigns lack: {_shown(made)}"
        remedy = "correct the values if that is not meant: Salesforce keeps a status that a member has"
        told.append(Problem(_PATH, "creates_member_statuses", message, remedy))
    for reason in dict.fromkeys(error.message for error in refused.values()):
        pairs = [pair for pair, error in refused.items() if error.message == reason]
        message = f"member statuses stay unwritten that campaigns lack: {_shown(pairs)}"
        told.append(Problem(_PATH, "lacks_member_statuses", message, reason))
    return told


def _shown(pairs: Collection[Wanted]) -> str:
    """The statuses by how many campaigns lack them."""
    spelt = {folded(pair): pair[1].strip() for pair in sorted(pairs)}
    labels = Counter(label for _, label in spelt)
    names = {label: name for (_, label), name in spelt.items()}
    parts = [f"{names[label]!r} in {number} campaign(s)" for label, number in sorted(labels.items())]
    return ", ".join(parts[:_SHOWN]) + (f", and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else "")
