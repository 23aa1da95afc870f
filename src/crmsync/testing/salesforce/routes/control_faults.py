"""Faults, as the control API switches them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crmsync.testing.salesforce.bulk.control import set_bulk
from crmsync.testing.salesforce.faults import every_nth, row_fault
from crmsync.testing.salesforce.latency import Lognormal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crmsync.testing.salesforce.org import SalesforceOrg


def set_faults(org: SalesforceOrg, body: Mapping[str, Any]) -> dict[str, Any]:
    """Switch faults on by the names in the body; with ``clear`` all others off before.

    :raises ValueError: there is no fault of a name. None is switched on.
    """
    unknown = sorted(set(body) - set(_FAULTS) - {"clear"})
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(_FAULTS)}")
    if body.get("clear"):
        org.clear_faults()
    for name, value in body.items():
        if name != "clear":
            _FAULTS[name](org, value)
    return {}


def _latency(org: SalesforceOrg, value: Any) -> None:
    org.faults.latency = Lognormal(**value) if isinstance(value, dict) else float(value)


def _reject(org: SalesforceOrg, value: Mapping[str, Any]) -> None:
    field, wanted = value["field"], value["equals"]
    message = value.get("message", "refused by a rule of the emulator")
    org.faults.reject(
        row_fault(
            value["object"],
            lambda row: row.get(field) == wanted,
            value["code"],
            message,
            field,
            times=value.get("times"),
        )
    )


def _fail_rows(org: SalesforceOrg, value: Mapping[str, Any]) -> None:
    given = dict(value)
    org.faults.reject(every_nth(given.pop("every"), object_name=given.pop("object", ""), **given))


def _concurrent_limit(org: SalesforceOrg, value: Any) -> None:
    org.faults.concurrent_limit = None if value is None else int(value)


def _contention(org: SalesforceOrg, value: Any) -> None:
    org.locks.contention = bool(value)


def _fail(org: SalesforceOrg, value: Mapping[str, Any]) -> None:
    org.faults.fail_next(**value)


def _drop(org: SalesforceOrg, value: Mapping[str, Any]) -> None:
    org.faults.drop_next(**value)


def _hold(org: SalesforceOrg, value: Mapping[str, Any]) -> None:
    org.faults.hold_next(**value)


def _expire_sessions(org: SalesforceOrg, value: Any) -> None:
    if value:
        org.expire_sessions()


def _api_limit_reached(org: SalesforceOrg, value: Any) -> None:
    if value:
        org.exhaust_api_calls()


def _concurrency_exceeded(org: SalesforceOrg, value: Any) -> None:
    org.faults.concurrency_exceeded_next(int(value))


def _long_transactions_exceeded(org: SalesforceOrg, value: Any) -> None:
    org.faults.long_transactions_exceeded_next(int(value))


def _fail_part(org: SalesforceOrg, value: Mapping[str, Any]) -> None:
    org.faults.parts.fail_next(**value)


def _lock(org: SalesforceOrg, value: Mapping[str, Any]) -> None:
    org.locks.hold(value["ids"], float(value["seconds"]))


def _late(org: SalesforceOrg, value: Any) -> None:
    org.faults.commit_late(float(value))


def _covered_lag(org: SalesforceOrg, value: Any) -> None:
    org.faults.covered_lag = float(value)


def _replicated_ids(org: SalesforceOrg, value: Any) -> None:
    org.faults.replicated_ids = int(value)


def _bulk(org: SalesforceOrg, value: Mapping[str, Any]) -> None:
    set_bulk(org, value)


#: What each member of the body does. Those of an object take its members as arguments.
_FAULTS: Final[Mapping[str, Callable[[SalesforceOrg, Any], None]]] = {
    "latency": _latency,
    "fail": _fail,
    "fail_part": _fail_part,
    "drop": _drop,
    "hold": _hold,
    "expire_sessions": _expire_sessions,
    "api_limit_reached": _api_limit_reached,
    "concurrency_exceeded": _concurrency_exceeded,
    "long_transactions_exceeded": _long_transactions_exceeded,
    "concurrent_limit": _concurrent_limit,
    "lock": _lock,
    "contention": _contention,
    "reject": _reject,
    "fail_rows": _fail_rows,
    "late": _late,
    "covered_lag": _covered_lag,
    "replicated_ids": _replicated_ids,
    "bulk": _bulk,
}
FAULT_NAMES: Final = frozenset(_FAULTS)
