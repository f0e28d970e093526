"""The network between nodes, as data and as the state that each sender keeps.

Every rule acts on one message at its sender, by this code, in both runtimes: the simulator then schedules the
arrival, the Ray runtime waits and writes to a socket. A partition therefore cuts what is sent while it lasts; what
was already on its way arrives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from labkit.copying import snapshot
from labkit.errors import BadInput
from labkit.latency import Constant, Latency, Sampler

Leg = Literal["request", "reply"]
Legs = Mapping[tuple[str, Leg], Latency]
LEGS = ("request", "reply")


def _check_legs(legs: Legs) -> None:
    for name in legs:
        if not (isinstance(name, tuple) and len(name) == 2 and name[1] in LEGS):
            raise BadInput(f"legs has {name!r}: it must be a method and one of {', '.join(LEGS)}")


@dataclass(frozen=True)
class Link:
    """How messages fare on one link.

    `loss` and `duplication` are probabilities a message. `reordering` is the share of messages that go by their
    own delay and so may overtake earlier ones: 1 is a datagram network, 0 is first in, first out, as TCP. `legs`
    maps (method, "request" or "reply") to the latency of that leg, where it differs from the link's `latency`.
    """

    latency: Latency = Constant(0.0)
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 1.0
    legs: Legs = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_legs(self.legs)
        for name in ("loss", "duplication", "reordering"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise BadInput(f"{name} is {value!r}: it must be a probability from 0 to 1")


@dataclass(frozen=True)
class Network:
    """The links of a cluster: one default, exceptions by link (source, target), and by leg of an exchange.

    `legs` maps (method, "request" or "reply") to the latency of that leg on every link, so that the four legs of the
    WARS model (write, acknowledgement, read, response) can differ. A message takes the first of these that there is:
    its leg of its own link (`Link.legs`), its leg of the network, its link's latency, the default's.
    """

    default: Link = Link()
    links: Mapping[tuple[str, str], Link] = field(default_factory=dict)
    legs: Legs = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_legs(self.legs)
        for pair in self.links:
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise BadInput(f"links has {pair!r}: it must be a pair of nodes, source and target")

    def between(self, source: str, target: str) -> Link:
        """The link that messages from `source` to `target` take."""
        return self.links.get((source, target), self.default)

    def check(self, nodes: Collection[str], methods: Collection[str]) -> None:
        """Raise `BadInput` if a link names a node that is not there, or a leg a method that no node has."""
        for name in (name for pair in self.links for name in pair):
            if name not in nodes:
                raise BadInput(f"links names {name!r}: the nodes are {', '.join(nodes)}")
        for legs in (self.legs, self.default.legs, *(link.legs for link in self.links.values())):
            for method, _ in legs:
                if method not in methods:
                    raise BadInput(f"legs names {method!r}: what nodes can be asked for is {', '.join(methods)}")

    def latency(self, source: str, target: str, method: str, leg: Leg) -> Latency:
        """What a message from `source` to `target` takes on this leg of a call of `method`."""
        link = self.between(source, target)
        return link.legs.get((method, leg)) or self.legs.get((method, leg)) or link.latency


class Outbox:
    """What one sender knows of the network: it decides the fate of each message that the node sends.

    All randomness of a link comes from one stream of its own, so that more traffic on one link changes nothing on
    another. `seed` names the streams: each runtime, and each incarnation of a node, has its own, so that what was
    measured on real processes and what was simulated are independent samples of one model.
    """

    def __init__(self, source: str, network: Network, seed: int | str):
        self._source = source
        self._network = network
        self._seed = seed
        self.lanes: dict[tuple[str, str, bool], _Lane] = {}  # by target, method, and whether it is a reply
        self.express: dict[tuple[str, str, bool], Sampler] = {}  # those on which nothing but a delay can happen
        self._random: dict[str, Random] = {}
        self._last_arrival: dict[str, int] = {}
        self._cut: set[str] = set()
        self._holding: set[str] = set()
        self._held: list[tuple] = []

    def cut(self, targets: Iterable[str]) -> None:
        """Lose everything sent to `targets` from now on."""
        self._cut.update(targets)
        self._change()

    def heal(self) -> None:
        """End every partition."""
        self._cut.clear()
        self._change()

    def hold(self, targets: Iterable[str]) -> None:
        """Keep back everything sent to `targets` from now on."""
        self._holding.update(targets)
        self._change()

    def release(self) -> list[tuple]:
        """Stop keeping messages back; returns those kept, in the order they were sent."""
        self._holding.clear()
        self._change()
        held, self._held = self._held, []
        return held

    def set_link(self, loss: float | None = None, duplication: float | None = None) -> None:
        """Change the loss or duplication of every link from now on."""
        change = {name: value for name, value in (("loss", loss), ("duplication", duplication)) if value is not None}
        links = {pair: replace(link, **change) for pair, link in self._network.links.items()}
        self._network = replace(self._network, default=replace(self._network.default, **change), links=links)
        self._change()

    def _change(self) -> None:
        self.lanes.clear()
        self.express.clear()

    def route(self, message: tuple, now_us: int) -> tuple[tuple[int, ...], str]:
        """The delays in microseconds after which copies of `message` arrive, and the message's fate.

        No delay means that none arrives; the fate then says why: ``lost``, ``partitioned`` or ``held``. Otherwise
        it is ``sent`` or ``duplicated``.
        """
        _, _, target, is_reply, method, _ = message
        lane = self.lanes.get((target, method, is_reply)) or self._lane(target, method, is_reply)
        if lane.plain:
            return (lane.delay(),), "sent"
        if lane.blocked:
            if lane.blocked == "held":
                self._held.append(snapshot(message))
            return (), lane.blocked
        return self._hazards(lane, target, now_us)

    def _hazards(self, lane: _Lane, target: str, now_us: int) -> tuple[tuple[int, ...], str]:
        draw, link = lane.random.random, lane.link
        if link.loss and draw() < link.loss:
            return (), "lost"
        copies = 2 if link.duplication and draw() < link.duplication else 1
        delays = tuple(self._in_order(lane, target, now_us) for _ in range(copies))
        return delays, "duplicated" if copies == 2 else "sent"

    def _in_order(self, lane: _Lane, target: str, now_us: int) -> int:
        delay = lane.delay()
        reordering = lane.link.reordering
        if reordering == 1 or (reordering and lane.random.random() < reordering):
            return delay
        arrival = max(now_us + delay, self._last_arrival.get(target, 0))
        self._last_arrival[target] = arrival
        return arrival - now_us

    def _lane(self, target: str, method: str, is_reply: bool) -> _Lane:
        if target == self._source:  # a node reaches itself at once and always
            link = latency = None
        else:
            link = self._network.between(self._source, target)
            latency = self._network.latency(self._source, target, method, "reply" if is_reply else "request")
        blocked = "partitioned" if target in self._cut else "held" if target in self._holding else ""
        random = self._random.get(target)
        if random is None:
            random = self._random[target] = Random(f"{self._seed}/link/{self._source}>{target}")
        lane = _Lane(link or Link(), latency or Constant(0.0), random, "" if link is None else blocked)
        self.lanes[target, method, is_reply] = lane
        if lane.plain:
            self.express[target, method, is_reply] = lane.delay
        return lane


class _Lane:
    """One kind of message on one link as things stand: made once, and anew after each fault of the network."""

    __slots__ = ("blocked", "delay", "link", "plain", "random")

    def __init__(self, link: Link, latency: Latency, random: Random, blocked: str):
        self.link = link
        self.random = random
        self.blocked = blocked
        self.delay: Sampler = latency.sampler(random)
        # Nearly every message takes this path, so the test is made here rather than for each of them.
        self.plain = not (blocked or link.loss or link.duplication) and link.reordering == 1
