"""labkit's own speed, as ratios within one run: what the labs' slider, and the promise of real processes, rest on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from labkit import benchmarks

pytestmark = [pytest.mark.real, pytest.mark.timed, pytest.mark.timeout(300)]


def best_of_four(measure: Callable[[], dict[str, float]], good: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """A busy machine can only make a ratio look worse than it is, so a bad one is measured again."""
    for _ in range(3):
        figures = measure()
        if good(figures):
            return figures
    return measure()


# What the simulator does is compared on an idle machine by `labkit bench`; these are floors that a busy one keeps.
FLOORS = {"": (0.62, 0.48), ", handlers that wait": (0.32, 0.27)}


@pytest.mark.parametrize("handlers", FLOORS)
def test_the_simulator_keeps_up_with_the_same_workload_written_by_hand(handlers) -> None:
    untraced, traced = (f"simulation over bare SimPy, {how}{handlers}" for how in ("untraced", "traced"))
    least = FLOORS[handlers]
    figures = best_of_four(
        lambda: benchmarks.simulation(rounds=5, pairs=1000),
        lambda each: each[untraced] >= least[0] and each[traced] >= least[1],
    )
    assert figures[untraced] >= least[0]
    assert figures[traced] >= least[1]


def test_messages_between_nodes_are_not_rays_own_calls() -> None:
    latency, throughput = "node round trip over Ray call, p50", "node throughput over Ray throughput"
    figures = best_of_four(
        lambda: benchmarks.round_trips(calls=1000), lambda found: found[latency] <= 0.2 and found[throughput] >= 5
    )
    assert figures[latency] <= 0.2
    assert figures[throughput] >= 5


def test_five_nodes_fit_a_small_machine() -> None:
    assert benchmarks.five_nodes()["five nodes, memory in all (MB)"] < 700


def test_a_sweep_uses_every_core() -> None:
    figures = best_of_four(
        lambda: benchmarks.sweeping(seeds=48), lambda found: found["sweep, all cores over one"] >= 1.7
    )
    if figures["cores"] >= 2:
        assert figures["sweep, all cores over one"] >= 1.7
