"""The composite resources and their list."""

from __future__ import annotations

from crmsync.testing.salesforce.composition.batch import batch
from crmsync.testing.salesforce.composition.composite import composite
from crmsync.testing.salesforce.composition.graph import graph
from crmsync.testing.salesforce.composition.tree import tree
from crmsync.testing.salesforce.routes.call import Call, Reply, RouteTable


def resources(call: Call) -> Reply:
    """List the other composite resources."""
    names = ("tree", "batch", "sobjects", "graph")
    return Reply({name: f"{call.data_root}/composite/{name}" for name in names})


ROUTES: RouteTable = (
    ("/composite", {"GET": resources, "POST": composite}),
    ("/composite/batch", {"POST": batch}),
    ("/composite/graph", {"POST": graph}),
    ("/composite/tree/{object}", {"POST": tree}),
)
