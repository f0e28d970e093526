"""`run`: one experiment, on one of the two runtimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.dials import spoken
from labkit.errors import BadInput
from labkit.history import Recording
from labkit.lab import Experiment, find
from labkit.results import Result

RUNTIMES = ("simulated", "ray")
LARGEST_SEED = 2**31 - 1


def run(
    experiment: str | Experiment,
    *,
    runtime: str = "simulated",
    seed: int = 0,
    trace: bool = True,
    progress: Callable[[int], None] | None = None,
    observe: Callable[[str, dict[str, Any]], None] | None = None,
    **parameters: Any,
) -> Result:
    """Run an experiment to its end and return what was measured.

    `runtime` is ``simulated`` (virtual time, one seed gives one history) or ``ray`` (a process a node, real time).
    `progress` is called with the number of operations that have ended. `observe`, for the Ray runtime, is called
    with ``"ready"`` and the processes' names, pids and addresses before the clients start. `parameters` are the
    experiment's dials. Raises `BadInput`, `MissingComponent`, `NodeFailure` or `RunTimedOut`.
    """
    chosen = experiment if isinstance(experiment, Experiment) else find(experiment)
    if runtime not in RUNTIMES:
        raise BadInput(f"runtime is {runtime!r}: it must be {' or '.join(RUNTIMES)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise BadInput(f"seed is {seed!r}: it must be a whole number from 0 to {LARGEST_SEED}")
    values = chosen.settings(parameters)
    cluster = chosen.cluster(seed, values)
    recording: Recording
    if runtime == "simulated":
        from labkit.runtimes import simulated

        recording = simulated.execute(cluster, seed, trace=trace, progress=progress)
    else:
        from labkit.runtimes import ray_actors

        recording = ray_actors.execute(cluster, seed, trace=trace, progress=progress, observe=observe)
    changed = {name: spoken(dial, values[name]) for name, dial in chosen.dials.items() if values[name] != dial.default}
    return chosen.evaluate(Result(chosen.name, runtime, seed, values, recording, changed=changed))
