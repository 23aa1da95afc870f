"""Bulk jobs by the control API: how long they take, their limits, and their faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg


def set_bulk(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Change how bulk jobs are treated, and return all of it.

    The options of :class:`BulkOptions` by their names; ``slow``, ``fail``, ``abort``, ``miscount`` the arguments of
    :meth:`BulkFaults.slow_next`, ``fail_next``, ``abort_next`` and ``miscount_next``; ``lock_chunks`` a number.

    :raises TypeError: there is no such option.
    """
    values, faults = dict(body), org.faults.bulk
    acts: dict[str, Callable[..., None]] = {
        "slow": faults.slow_next,
        "fail": faults.fail_next,
        "abort": faults.abort_next,
        "miscount": faults.miscount_next,
    }
    wanted = {name: values.pop(name) for name in acts if name in values}
    locked = int(values.pop("lock_chunks", 0))
    org.bulk.set_options(**values)
    for name, arguments in wanted.items():
        acts[name](**arguments)
    faults.lock_chunks(locked)
    return attrs.asdict(org.bulk.options)
