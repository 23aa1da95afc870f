"""Composite Graph: graphs of up to 500 subrequests together, each graph all or none.

"Composite Graph" and "Composite Graph Limits" (REST API Developer Guide): available from v50.0; the entire request
counts as a single call toward the API limits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from crmsync.testing.salesforce.composition.composite import (
    Subrequest,
    halted_results,
    odd_reference,
    run,
    subrequests_of,
)
from crmsync.testing.salesforce.composition.references import names_in
from crmsync.testing.salesforce.composition.subrequests import target_of
from crmsync.testing.salesforce.errors import CallError, not_found
from crmsync.testing.salesforce.part_faults import GRAPH
from crmsync.testing.salesforce.routes.call import Call, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_VERSION: Final = 50.0
MAX_GRAPHS: Final = 75
MAX_NODES: Final = 500
MAX_DEPTH: Final = 15
MAX_KINDS: Final = 15
MAX_FAILURES: Final = 14
_GRAPH_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
#: The only resources that a node may be, with their methods.
_NODES: Final = {
    "/sobjects/{object}": frozenset({"POST"}),
    "/sobjects/{object}/{id}": frozenset({"DELETE", "GET", "PATCH"}),
    "/sobjects/{object}/{field}/{value:path}": frozenset({"DELETE", "GET", "PATCH", "POST"}),
}


@frozen
class Graph:
    """One graph; nodes may refer to those before them."""

    id: str
    nodes: Sequence[Subrequest]


def graph(call: Call) -> Reply:
    """Perform the graphs in order, until too many have failed."""
    if float(call.version) < FIRST_VERSION:
        raise not_found()
    graphs = _graphs(call, call.json_object().get("graphs"))
    failures = 0
    results: list[dict[str, Any]] = []
    for entry in graphs:
        if failures > MAX_FAILURES:
            message = f"Processing was halted since more than {MAX_FAILURES} graphs failed."
            responses, successful = halted_results(entry.nodes, message), False
        else:
            responses, successful = run(call, entry.nodes, all_or_none=True, within=GRAPH)
            failures += not successful
        response = {"compositeResponse": responses}
        results.append({"graphId": entry.id, "graphResponse": response, "isSuccessful": successful})
    return Reply({"graphs": results})


def _graphs(call: Call, value: Any) -> list[Graph]:
    if not isinstance(value, list) or not value:
        raise CallError(400, "JSON_PARSER_ERROR", "The request needs a list 'graphs'")
    if len(value) > MAX_GRAPHS:
        raise _limit(MAX_GRAPHS, "graphs")
    graphs = [_graph(call, entry) for entry in value]
    if len({entry.id for entry in graphs}) < len(graphs):
        raise CallError(400, "INVALID_INPUT", "Each graphId must be unique")
    nodes = [node for entry in graphs for node in entry.nodes]
    if len(nodes) > MAX_NODES:
        raise _limit(MAX_NODES, "nodes")
    if len({_kind(node) for node in nodes}) > MAX_KINDS:
        raise _limit(MAX_KINDS, "different nodes")
    return graphs


def _graph(call: Call, value: Any) -> Graph:
    graph_id = value.get("graphId") if isinstance(value, dict) else None
    if not isinstance(graph_id, str) or not _GRAPH_ID.fullmatch(graph_id):
        raise CallError(400, "INVALID_INPUT", "A graphId must start with a letter or a number")
    nodes = subrequests_of(value.get("compositeRequest"))
    if refusal := odd_reference(call, nodes):
        raise CallError(400, refusal.body[0]["errorCode"], refusal.body[0]["message"])
    for node in nodes:
        if node.method not in _NODES.get(target_of(node.url).template or "", ()):
            raise CallError(400, "INVALID_INPUT", f"A node of a graph cannot be {node.method} {node.url}")
    if _depth(nodes) > MAX_DEPTH:
        raise CallError(400, "LIMIT_EXCEEDED", f"A graph can't be deeper than {MAX_DEPTH} nodes.")
    return Graph(graph_id, nodes)


def _depth(nodes: Sequence[Subrequest]) -> int:
    depths: dict[str, int] = {}
    for node in nodes:
        parents = {*names_in(node.url), *names_in(node.body)}
        depths[node.reference_id] = 1 + max((depths.get(name, 0) for name in parents), default=0)
    return max(depths.values(), default=0)


def _kind(node: Subrequest) -> tuple[str, str, str]:
    target = target_of(node.url)
    return node.method, target.version, target.params.get("object", "").lower()


def _limit(limit: int, things: str) -> CallError:
    return CallError(400, "LIMIT_EXCEEDED", f"The request can't contain more than {limit} {things}.")
