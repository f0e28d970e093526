"""Lab 17: many keys put on shards by each rule: how even is it, and how much moves when there is another shard?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from labkit.dials import Choice, Dial, only_while
from labkit.lab import Lab, experiment, require
from labkit.node import Node
from labkit.placement import ALPHABET, Hashed, Jump, Modulo, Placement, Range, Rendezvous, Ring, hash64
from labkit.results import Measure, Result, share
from labkit.workload import zipf_weights

RULES = ("ring", "modulo", "rendezvous", "jump", "range", "sampled range")

SURNAMES = {
    "a": 2.67, "b": 7.33, "c": 6.29, "d": 3.49, "e": 1.48, "f": 2.73, "g": 4.23, "h": 6.18, "i": 0.25,
    "j": 2.87, "k": 2.11, "l": 3.7, "m": 7.76, "n": 1.35, "o": 1.09, "p": 3.9, "q": 0.15, "r": 4.63,
    "s": 7.39, "t": 2.84, "u": 0.13, "v": 1.0, "w": 5.36, "x": 0.01, "y": 0.45, "z": 0.21,
}  # fmt: skip
"""Initials of surnames in per cent of the population: United States, census of 1990, names of at least 0.001%.

Added up from the Census Bureau's file dist.all.last, which covers 79.6% of the population.
"""


@dataclass(eq=False, kw_only=True)
class Placer(Node):
    """Puts keys on shards by one rule, and once more with another number of shards; it needs no other node."""

    rule: str
    keys: int
    named: bool
    before: Sequence[str]
    after: Sequence[str]
    points: int
    skew: float
    salt: int

    async def run(self) -> None:
        draw = Random(f"{self.salt}/keys")
        keys: Sequence[Any] = surnames(draw, self.keys) if self.named else range(1, self.keys + 1)
        rule = self._rule(keys)
        resized = rule.resized(self.after)
        homes, later = _homes(rule, keys), _homes(resized, keys)
        asked = _popularity(draw, self.keys, self.skew)
        self.note(
            "placed",
            kept=[homes.count(shard) for shard in self.before],
            kept_later=[later.count(shard) for shard in self.after],
            moved=sum(one != other for one, other in zip(homes, later, strict=True)),
            asked=_added(homes, asked, self.before),
            most_popular=max(asked),
        )

    def _rule(self, keys: Sequence[Any]) -> Placement:
        if self.rule == "range":
            size = math.ceil(self.keys / len(self.before))
            return Range.by_letter(self.before) if self.named else Range.by_number(self.before, size)
        if self.rule == "sampled range":
            return Range.by_sample(self.before, keys[:: max(self.keys // 1000, 1)])
        if self.rule == "ring":
            return Ring(self.before, self.points, self.salt)
        return {"modulo": Modulo, "rendezvous": Rendezvous, "jump": Jump}[self.rule](self.before)


def surnames(random: Random, count: int) -> list[str]:
    """Invented names whose initials are as common as among the surnames of the United States."""
    initials = random.choices(list(SURNAMES), list(SURNAMES.values()), k=count)
    return [initial + "".join(random.choices(ALPHABET, k=5)) for initial in initials]


def _homes(rule: Placement, keys: Sequence[Any]) -> list[str]:
    if isinstance(rule, Hashed):
        return [rule.shard_of_hash(hash64(key)) for key in keys]
    return [rule.shard_of(key) for key in keys]


def _popularity(random: Random, keys: int, skew: float) -> list[float]:
    weights = zipf_weights(keys, skew)
    if skew:
        random.shuffle(weights)
    return weights


def _added(homes: Sequence[str], weights: Sequence[float], shards: Sequence[str]) -> list[float]:
    sums = dict.fromkeys(shards, 0.0)
    for shard, weight in zip(homes, weights, strict=True):
        sums[shard] += weight
    whole = math.fsum(sums.values())
    return [weight / whole for weight in sums.values()]


@experiment(title="Placement", guide="Partitioning (sharding): A–M and N–Z, users 1–1000, 1001–2000, …")
def placement(
    lab: Lab,
    *,
    rule: str = Choice("ring", RULES, "what says which shard keeps a key"),
    keys: int = Dial(20_000, 10, 2_000_000, help="keys to be placed"),
    key_type: str = Choice("numbers", ("numbers", "surnames"), "users 1, 2, 3, …, or names with real initials"),
    shards: int = Dial(3, 1, 1000, help="shards at the start"),
    shards_after: int = Dial(4, 1, 1000, help="shards after the resize"),
    points: int = Dial(
        100, 1, 10_000, help="virtual nodes of each shard on the ring", needs=only_while("rule", "ring")
    ),
    skew: float = Dial(0.0, 0.0, 3.0, "", "exponent of Zipf's law: how much more popular the popular keys are"),
) -> None:
    """Keys are placed on n shards and again on m: how even are the shards, and how many keys have to move?"""
    names = [f"shard-{number}" for number in range(1, max(shards, shards_after) + 1)]
    lab.client(
        "placer",
        Placer,
        rule=rule,
        keys=keys,
        named=key_type == "surnames",
        before=names[:shards],
        after=names[:shards_after],
        points=points,
        skew=skew,
        salt=lab.seed,
    )


@placement.measure
def measures(result: Result) -> Iterator[Measure]:
    """Balance before and after, the keys that moved, and the load on the busiest shard."""
    placed = result.notes[0].details
    keys, kept, later = result.parameters["keys"], placed["kept"], placed["kept_later"]
    yield Measure("moved", share(placed["moved"], keys), "", "share of the keys that the resize moves")
    yield Measure("balance", max(kept) * len(kept) / keys, "", "keys of the fullest shard, over the mean")
    yield Measure("balance_after", max(later) * len(later) / keys, "", "the same after the resize")
    yield Measure("spread", spread(kept), "", "standard deviation of the shards' keys, over the mean")
    yield Measure("largest", max(kept) / keys, "", "share of the keys on the fullest shard")
    asked = placed["asked"]
    yield Measure("load_balance", max(asked) * len(asked), "", "requests for the busiest shard, over the mean")
    yield Measure("busiest", max(asked), "", "share of the requests for the busiest shard")


def spread(kept: Sequence[int]) -> float:
    """The standard deviation of the shards' keys in multiples of their mean."""
    require(sum(kept) > 0 <= min(kept), "kept", kept, "the keys of one or more shards, and not all of them 0")
    mean = sum(kept) / len(kept)
    return math.sqrt(math.fsum((each - mean) ** 2 for each in kept) / len(kept)) / mean


def _require_shards(*numbers: int) -> None:
    for number in numbers:
        require(number >= 1, "shards", number, "1 or more")


def moved_by_consistent_hashing(before: int, after: int) -> float:
    """|m − n| / max(m, n): only what the new shards get, or the old ones had; Karger et al. 1997, section 4."""
    _require_shards(before, after)
    return abs(after - before) / max(after, before)


def moved_by_modulo(before: int, after: int) -> float:
    """1 − min(n, m) / lcm(n, m): of so many hashes in a row, only the first min(n, m) have the same remainder."""
    _require_shards(before, after)
    return 1 - min(before, after) / math.lcm(before, after)


def ring_spread(shards: int, points: int) -> float:
    """√((n − 1) / (nV + 1)), about 1/√V: the arcs between nV random points on a circle, V of them to a shard.

    Such a sum of arcs has a beta distribution with parameters V and V(n − 1).
    """
    _require_shards(shards)
    require(points >= 1, "points", points, "1 or more")
    return math.sqrt((shards - 1) / (shards * points + 1))


@placement.law(measure="moved", label="|m − n| / max(m, n); modulo: 1 − min(n, m) / lcm(n, m)")
def expected_moved(values: Mapping[str, Any]) -> float | None:
    """What has to move, for every rule that hashes."""
    sizes = values["shards"], values["shards_after"]
    if values["rule"] == "modulo":
        return moved_by_modulo(*sizes)
    return None if "range" in values["rule"] else moved_by_consistent_hashing(*sizes)


@placement.law(measure="spread", label="√((n − 1) / (nV + 1) + (n − 1) / keys)")
def expected_spread(values: Mapping[str, Any]) -> float | None:
    """For hashing; that the keys, too, fall by chance adds (n − 1) / keys to the square."""
    if "range" in values["rule"]:
        return None
    by_chance = (values["shards"] - 1) / values["keys"]
    arcs = ring_spread(values["shards"], values["points"]) if values["rule"] == "ring" else 0.0
    return math.sqrt(arcs**2 + by_chance)


@placement.size
def size(values: Mapping[str, Any]) -> dict[str, float]:
    """Placing a key twice takes about as long as a fifth of an event; by rendezvous, as long as two for ten shards."""
    events = {"keys": values["keys"] / 5}
    if values["rule"] == "rendezvous":
        events["shards"] = values["keys"] * (values["shards"] + values["shards_after"]) / 10
    if values["rule"] == "ring":
        events["points"] = values["points"] * (values["shards"] + values["shards_after"]) / 8
    return events
