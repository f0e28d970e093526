"""Small simulated clusters, built from node classes in a line or two."""

from __future__ import annotations

from typing import Any

from labkit.clocks import ClockError
from labkit.cluster import Cluster
from labkit.history import Recording
from labkit.host import NodeSpec
from labkit.node import Node
from labkit.runtimes import simulated


def node(name: str, node_class: type[Node], clock: ClockError = ClockError(), **parameters: Any) -> NodeSpec:
    return NodeSpec(name, node_class, parameters, clock)


def client(name: str, node_class: type[Node], clock: ClockError = ClockError(), **parameters: Any) -> NodeSpec:
    return NodeSpec(name, node_class, parameters, clock, is_client=True)


def simulate(*specs: NodeSpec, seed: int = 0, **settings: Any) -> Recording:
    cluster = Cluster(list(specs), **settings)
    cluster.check()
    return simulated.execute(cluster, seed)


def simulate_work(work: Any, *others: NodeSpec, seed: int = 0, **settings: Any) -> Recording:
    """Run ``work(node)`` as the only client, called ``client``."""
    lone = type("LoneClient", (Node,), {"run": work})
    return simulate(client("client", lone), *others, seed=seed, **settings)
