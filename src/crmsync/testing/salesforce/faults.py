"""Trouble on demand: slow, failing and dropped calls, refused records, commits that become visible late."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import define, field, frozen

from crmsync.testing.salesforce.bulk.faults import BulkFaults
from crmsync.testing.salesforce.errors import RowError, default_error
from crmsync.testing.salesforce.latency import Lognormal
from crmsync.testing.salesforce.part_faults import PartFaults

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Called with the object's name and the row about to be saved; returns the error that refuses it, or ``None``.
RejectRule: TypeAlias = Callable[[str, "Mapping[str, Any]"], RowError | None]
#: "sObject Get Updated" and "sObject Get Deleted" (REST API Developer Guide).
REPLICATED_IDS: Final = 600_000
#: Called with the object's name and the row about to be saved; whether its commit is late.
LateRule: TypeAlias = Callable[[str, "Mapping[str, Any]"], bool]
#: Called with the method and the path of a request; whether the fault is for it.
CallRule: TypeAlias = Callable[[str, str], bool]

_REASONS = {429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}
#: "Concurrent API errors" (help 000389067): too many calls of 20 seconds and longer.
_CONCURRENT: Final = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
#: Too many transactions of the org, whoever began them, that take long ("Concurrent Long Running Transactions").
LONG_TRANSACTIONS: Final = "ConcurrentPerOrgLongTxn Limit exceeded."


class ConnectionDroppedError(ConnectionResetError):
    """The emulator dropped the connection. Only seen in-process, where there is no socket to close."""

    def __init__(self) -> None:
        super().__init__("the emulator dropped the connection")


@frozen(kw_only=True)
class CallFault:
    """What a call meets instead of its answer. ``status`` 0 drops it; ``after_commit`` lets it act first.

    With ``hold`` it acts, and gets its own answer so many seconds later.
    """

    status: int = 0
    body: Any = ""
    headers: Mapping[str, str] = field(factory=dict)
    after_commit: bool = False
    hold: float = 0.0
    method: str | None = None
    path: str | CallRule | None = None

    def is_for(self, method: str, path: str) -> bool:
        """Whether a request is one of those that the fault waits for."""
        if self.method is not None and self.method != method:
            return False
        if self.path is None:
            return True
        return self.path in path if isinstance(self.path, str) else self.path(method, path)


@define
class Faults:
    """The faults of one org. All of them are off at first, and after :meth:`clear`.

    ``latency`` is in seconds for each HTTP call, or the distribution of these. ``concurrent_limit`` is how many calls
    may be in flight: a further one gets 403 REQUEST_LIMIT_EXCEEDED. ``covered_lag`` is how
    many seconds ago somebody else's transaction on the instance began, whenever it is asked: `latestDateCovered` stays
    behind it. ``replicated_ids`` is how many ids an answer of `getUpdated` or `getDeleted` may hold. ``bulk`` holds the
    faults of bulk jobs, ``parts`` those of subrequests and of a collection's records. ``releases`` counts how often
    held answers were sent before their time.
    """

    latency: float | Lognormal = 0.0
    concurrent_limit: int | None = None
    covered_lag: float = 0.0
    replicated_ids: int = REPLICATED_IDS
    bulk: BulkFaults = field(factory=BulkFaults)
    parts: PartFaults = field(factory=PartFaults)
    releases: int = field(default=0, init=False)
    _pending: list[CallFault] = field(factory=list)
    _rejects: list[RejectRule] = field(factory=list)
    _late: list[tuple[float, LateRule]] = field(factory=list)

    def clear(self) -> None:
        """Switch every fault off."""
        self.latency = 0.0
        self.covered_lag = 0.0
        self.replicated_ids = REPLICATED_IDS
        self.release()
        self.bulk.clear()
        self.parts.clear()
        self._pending.clear()
        self._rejects.clear()
        self._late.clear()

    @property
    def waiting(self) -> int:
        """How many faults have met no call yet, and no part of one."""
        return len(self._pending) + self.parts.waiting

    def next_latency(self) -> float:
        """Return how many seconds the next call takes."""
        return self.latency.sample() if isinstance(self.latency, Lognormal) else self.latency

    def fail_next(
        self,
        times: int = 1,
        *,
        status: int = 503,
        body: Any = None,
        html: bool = False,
        retry_after: float | None = None,
        after_commit: bool = False,
        method: str | None = None,
        path: str | CallRule | None = None,
    ) -> None:
        """Answer the next ``times`` matching calls with ``status``.

        :param body: sent as JSON, or as it is if text (HTML, as from the edge of Salesforce). By default, the JSON
            error array that belongs to the status.
        :param html: answer with a page of HTML, as the edge of Salesforce does in an outage.
        :param retry_after: seconds, sent as ``Retry-After``.
        :param after_commit: the call first takes effect, and then fails: its caller cannot know.
        :param method: only calls of this method.
        :param path: only calls whose path contains the text, or for which the function is true.
        """
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        fault = CallFault(
            status=status,
            body=(_html(status) if html else _default_body(status)) if body is None else body,
            headers=headers,
            after_commit=after_commit,
            method=method,
            path=path,
        )
        self._pending.extend([fault] * times)

    def drop_next(
        self,
        times: int = 1,
        *,
        after_commit: bool = False,
        method: str | None = None,
        path: str | CallRule | None = None,
    ) -> None:
        """Drop the connection of the next ``times`` matching calls without an answer, before or after the effect."""
        self._pending.extend([CallFault(after_commit=after_commit, method=method, path=path)] * times)

    def hold_next(
        self, seconds: float, times: int = 1, *, method: str | None = None, path: str | CallRule | None = None
    ) -> None:
        """Let the next ``times`` matching calls take effect; send their answers ``seconds`` later, or on `release`."""
        self._pending.extend([CallFault(hold=seconds, method=method, path=path)] * times)

    def release(self) -> None:
        """Send the answers that are held."""
        self.releases += 1

    def html_outage(self, times: int = 1) -> None:
        """Answer the next calls as the edge does in an outage: 503 with a page of HTML."""
        self.fail_next(times, status=503, html=True)

    def concurrency_exceeded_next(self, times: int = 1) -> None:
        """Answer the next calls as if too many long ones were in flight."""
        self.fail_next(times, status=403, body=concurrency_exceeded())

    def long_transactions_exceeded_next(self, times: int = 1, *, path: str | CallRule | None = None) -> None:
        """Answer the next calls as if too many transactions of the org took long."""
        self.fail_next(times, status=403, body=_limit_exceeded(LONG_TRANSACTIONS), path=path)

    def reject(self, rule: RejectRule) -> None:
        """Refuse the records for which the rule returns an error, until :meth:`clear`."""
        self._rejects.append(rule)

    def commit_late(self, seconds: float, rule: LateRule | None = None) -> None:
        """Hide saved records from readers until ``seconds`` after their SystemModstamp, by the org's clock."""
        self._late.append((seconds, rule or (lambda _object, _row: True)))

    def take(self, method: str, path: str) -> CallFault | None:
        """Return the first pending fault for this call, which is thereby used up."""
        for place, fault in enumerate(self._pending):
            if fault.is_for(method, path):
                return self._pending.pop(place)
        return None

    def refusal(self, object_name: str, row: Mapping[str, Any]) -> RowError | None:
        """Return the error with which a rule refuses the row."""
        for rule in self._rejects:
            error = rule(object_name, row)
            if error is not None:
                return error
        return None

    def delay(self, object_name: str, row: Mapping[str, Any]) -> float:
        """Return after how many seconds the row becomes visible."""
        return max((seconds for seconds, rule in self._late if rule(object_name, row)), default=0.0)


def concurrency_exceeded() -> list[dict[str, str]]:
    """Return the answer to a call that is one too many at a time."""
    return _limit_exceeded(_CONCURRENT)


def _limit_exceeded(message: str) -> list[dict[str, str]]:
    return [{"message": message, "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def _html(status: int) -> str:
    reason = _REASONS.get(status, "Error")
    return f"<html><head><title>{status}</title></head><body><h1>{reason}</h1></body></html>"


def _default_body(status: int) -> Any:
    code, message = default_error(status)
    return [{"message": message, "errorCode": code}]


def validation_rule(
    object_name: str, when: Callable[[Mapping[str, Any]], bool], message: str, *fields: str
) -> RejectRule:
    """Return a rule like an admin's validation rule: FIELD_CUSTOM_VALIDATION_EXCEPTION with the admin's text."""
    return row_fault(object_name, when, "FIELD_CUSTOM_VALIDATION_EXCEPTION", message, *fields)


def row_lock(object_name: str, when: Callable[[Mapping[str, Any]], bool], *, times: int | None = None) -> RejectRule:
    """Return a rule that refuses records with UNABLE_TO_LOCK_ROW, the first ``times`` of them or all."""
    message = "unable to obtain exclusive access to this record"
    return row_fault(object_name, when, "UNABLE_TO_LOCK_ROW", message, times=times)


def row_fault(
    object_name: str,
    when: Callable[[Mapping[str, Any]], bool],
    code: str,
    message: str,
    *fields: str,
    times: int | None = None,
) -> RejectRule:
    """Return a rule that refuses matching records of an object with any code, the first ``times`` of them or all."""
    left = times

    def rule(name: str, row: Mapping[str, Any]) -> RowError | None:
        nonlocal left
        if name != object_name or left == 0 or not when(row):
            return None
        if left is not None:
            left -= 1
        return RowError(code, message, fields)

    return rule


def every_nth(
    every: int, code: str = "UNABLE_TO_LOCK_ROW", message: str = "refused by the emulator", *, object_name: str = ""
) -> RejectRule:
    """Return a rule that refuses each ``every``-th record, of one object or of any: a collection then fails in part.

    :raises ValueError: ``every`` is below 1.
    """
    if every < 1:
        raise ValueError("every is at least 1")
    seen = 0

    def rule(name: str, _: Mapping[str, Any]) -> RowError | None:
        nonlocal seen
        if object_name and name != object_name:
            return None
        seen += 1
        return None if seen % every else RowError(code, message)

    return rule
