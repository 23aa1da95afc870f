"""A plan with what the CRM's side says in advance of its writes."""

from __future__ import annotations

from contextlib import suppress

import attrs

from crmsync.engine import Runner
from crmsync.errors import BudgetExceededError
from crmsync.models.plans import Plan
from crmsync.models.records import Operation, Side
from crmsync.models.runs import RunWarning
from crmsync.protocols.records import SupportsForesight


async def planned(runner: Runner) -> Plan:
    """The runner's plan. What the CRM's record store foresees stands among its report's warnings.

    :raises ProviderError: a side failed as a whole.
    """
    plan = await runner.plan()
    operations = [
        Operation(f"{place} {number}", write.kind, record.crm_id, fields=write.fields)
        for place, record in enumerate(plan.records)
        for number, write in enumerate(record.writes)
        if write.side is Side.REMOTE
    ]
    if not operations or not isinstance(runner.remote, SupportsForesight):
        return plan
    warnings = list(plan.report.warnings)
    # A plan that its budget was enough for is not withheld for want of a warning.
    with suppress(BudgetExceededError):
        warnings += [
            RunWarning(path=each.path, code=each.code, message=each.message, remedy=each.remedy)
            for each in await runner.remote.foresee(operations)
        ]
    remote = plan.report.remote.model_copy(update={"api_calls": runner.budget.used})
    report = plan.report.model_copy(update={"warnings": tuple(warnings), "remote": remote})
    return attrs.evolve(plan, report=report)
