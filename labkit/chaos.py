"""Fault plans drawn from a seed: crashes, pauses and partitions at random instants, all of them over by a given one.

Basiri et al., Chaos Engineering, IEEE Software 2016. Loss and duplication belong to the network's links, which stay as
they are; unsynced writes are lost with every crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from labkit.errors import BadInput
from labkit.faults import ENDS, Fault, FaultPlan

KINDS = ("crash", "pause", "partition")
NETWORK = "the network"
ONE_WAY = 0.25
"""The share of partitions that cut one direction only."""

MOST_DRAWS = 50
"""Draws for one incident before it is left out, where there is no room for it."""


@dataclass(frozen=True)
class _Incident:
    victim: str
    begin: float
    end: float
    faults: tuple[Fault, Fault]

    def meets(self, other: _Incident) -> bool:
        return self.victim == other.victim and self.begin <= other.end and other.begin <= self.end


def chaos(
    nodes: Sequence[str],
    until: float,
    seed: int,
    *,
    bystanders: Sequence[str] = (),
    kinds: Sequence[str] = KINDS,
    incidents: int = 5,
    shortest: float = 0.01,
    longest: float | None = None,
) -> FaultPlan:
    """Up to `incidents` faults among `nodes`, each of `shortest` to `longest` seconds and ended by `until`.

    `longest` is a third of `until` if it is not given. Every crash has its restart, every pause its resume, every
    partition its heal. Incidents of one node do not overlap, nor do partitions (a heal ends them all). `bystanders`,
    such as clients, may end up on either side of a partition, and nothing else happens to them.
    """
    longest = until / 3 if longest is None else longest
    for kind in kinds:
        if kind not in KINDS:
            raise BadInput(f"kinds has {kind!r}: it must be some of {', '.join(KINDS)}")
    if not nodes or not kinds or incidents < 0:
        what = f"nodes are {list(nodes)!r}, kinds {list(kinds)!r} and incidents {incidents!r}"
        raise BadInput(f"{what}: there must be one or more of the first two, and 0 or more of the last")
    if not 0 < shortest <= longest <= until:
        raise BadInput(f"longest is {longest!r}: it must be from shortest, {shortest!r}, to until, {until!r} seconds")
    random = Random(f"{seed}/chaos")
    planned: list[_Incident] = []
    for _ in range(incidents):
        for _ in range(MOST_DRAWS):
            drawn = _draw(random, nodes, bystanders, kinds, until, (shortest, longest))
            if not any(drawn.meets(other) for other in planned):
                planned.append(drawn)
                break
    faults = [fault for incident in planned for fault in incident.faults]
    return FaultPlan(tuple(sorted(faults, key=lambda fault: fault.at)))


def _draw(
    random: Random,
    nodes: Sequence[str],
    bystanders: Sequence[str],
    kinds: Sequence[str],
    until: float,
    lengths: tuple[float, float],
) -> _Incident:
    kind = random.choice(list(kinds))
    length = random.uniform(*lengths)
    begin = random.uniform(0.0, until - length)
    begin, end = round(begin, 6), round(min(begin + length, until), 6)
    if kind != "partition":
        victim = random.choice(list(nodes))
        return _Incident(victim, begin, end, (Fault(kind, begin, (victim,)), Fault(ENDS[kind], end, (victim,))))
    everybody = random.sample([*nodes, *bystanders], len(nodes) + len(bystanders))
    apart = random.randint(1, max(len(everybody) - 1, 1))
    both_ways = random.random() >= ONE_WAY
    cut = Fault(kind, begin, tuple(everybody[:apart]), tuple(everybody[apart:]), both_ways)
    return _Incident(NETWORK, begin, end, (cut, Fault(ENDS[kind], end)))
