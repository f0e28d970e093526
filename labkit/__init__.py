"""labkit: run the same distributed-systems code as a deterministic simulation and as real processes.

The everyday names are here; everything else is in the module that `ARCHITECTURE.md` names for it.
"""

from labkit.calls import Call, CallError, QuorumNotReached, Refused, Unanswered, answers, first, settled
from labkit.clocks import ClockError
from labkit.dials import Choice, Dial, Switch
from labkit.errors import BadInput, LabkitError, MissingComponent, NodeFailure, RunTimedOut
from labkit.faults import After, FaultPlan
from labkit.judging import judge
from labkit.lab import Lab, catalogue, experiment, require
from labkit.latency import Constant, Empirical, Exponential, Latency, Lognormal, Mixture, Pareto, Shifted, Uniform
from labkit.network import Link, Network
from labkit.node import Node, Peer
from labkit.results import Measure, Result, Verdict
from labkit.running import run
from labkit.workload import closed_loop, open_loop

__version__ = "0.1.0"

__all__ = [
    "After", "BadInput", "Call", "CallError", "Choice", "ClockError", "Constant", "Dial", "Empirical",
    "Exponential", "FaultPlan", "Lab", "LabkitError", "Latency", "Link", "Lognormal", "Measure",
    "MissingComponent", "Mixture", "Network", "Node", "NodeFailure", "Pareto", "Peer", "QuorumNotReached",
    "Refused", "Result", "RunTimedOut", "Shifted", "Switch", "Unanswered", "Uniform", "Verdict", "answers", "catalogue",
    "closed_loop", "experiment", "first", "judge", "open_loop", "require", "run", "settled",
]  # fmt: skip
