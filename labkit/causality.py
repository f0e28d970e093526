"""Logical clocks as values: what may have caused what, told from stamps alone, whatever the physical clocks say.

Lamport, Time, Clocks, and the Ordering of Events in a Distributed System, CACM 1978 (→ and scalar clocks); Fidge,
1988, and Mattern, 1989 (vector clocks); Parker et al., IEEE TSE 1983 (version vectors); Preguiça et al., Dotted
Version Vectors, 2010. The hybrid clock of Kulkarni et al. is in `labkit.clocks`. Taught in lab 15.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labkit.copying import IMMUTABLE

BEFORE, AFTER, CONCURRENT, EQUAL = "before", "after", "concurrent", "equal"
RELATIONS = (BEFORE, AFTER, CONCURRENT, EQUAL)

COUNTER_BYTES, NODE_BYTES = 8, 4
"""What a counter and a node's number take in a compact encoding; sizes of clocks are stated by these."""


@dataclass(frozen=True, slots=True)
class Lamport:
    """A scalar clock: if a → b then a's time is the smaller one; the converse does not hold (Lamport 1978)."""

    time: int = 0

    def tick(self) -> Lamport:
        """The stamp of the next event (rule IR1)."""
        return Lamport(self.time + 1)

    def receive(self, remote: Lamport) -> Lamport:
        """The stamp of the receipt of a message: later than all here, and than the message's (rule IR2)."""
        return Lamport(max(self.time, remote.time) + 1)

    def relation(self, other: Lamport) -> str:
        """The order of the two times.

        ``before`` is certain only in this: the other did not cause this one. ``equal``: neither caused the other.
        """
        return ordered(self.time, other.time)

    @property
    def size_bytes(self) -> int:
        """The same, however many nodes there are."""
        return COUNTER_BYTES

    def __str__(self) -> str:
        return str(self.time)


@dataclass(frozen=True, slots=True)
class Vector:
    """How many events of each node are known; names in order, those with none left out.

    As a vector clock every event ticks; as a version vector only updates do. Made by `vector`, or by its methods.
    """

    entries: tuple[tuple[str, int], ...] = ()

    def __getitem__(self, node: str) -> int:
        return dict(self.entries).get(node, 0)

    def tick(self, node: str) -> Vector:
        """One more event of `node`."""
        counts = dict(self.entries)
        counts[node] = counts.get(node, 0) + 1
        return vector(counts)

    def merge(self, other: Vector) -> Vector:
        """What either knows: the larger of each two entries."""
        if self.entries == other.entries:
            return self
        counts = dict(self.entries)
        for node, count in other.entries:
            if count > counts.get(node, 0):
                counts[node] = count
        return vector(counts)

    def receive(self, remote: Vector, node: str) -> Vector:
        """The stamp of `node` receiving a message: all that either knew, and this event."""
        return self.merge(remote).tick(node)

    def knows(self, node: str, count: int) -> bool:
        """Whether the event number `count` of `node` is among those known."""
        return self[node] >= count

    def __le__(self, other: Vector) -> bool:
        counts = dict(other.entries)
        return all(count <= counts.get(node, 0) for node, count in self.entries)

    def __lt__(self, other: Vector) -> bool:
        return self.entries != other.entries and self <= other

    def relation(self, other: Vector) -> str:
        """How the two stand to each other; of vector clocks this is how their events do, exactly."""
        if self.entries == other.entries:
            return EQUAL
        if self <= other:
            return BEFORE
        return AFTER if other <= self else CONCURRENT

    @property
    def size_bytes(self) -> int:
        """Grows with the number of nodes that have taken part."""
        return len(self.entries) * (NODE_BYTES + COUNTER_BYTES)

    def __str__(self) -> str:
        return " ".join(f"{node}:{count}" for node, count in self.entries) or "nothing"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a value: the write that made it, its `dot`, and all writes that its writer had seen.

    The dot is the only write whose name is `owner` and `number`; the owner is the server that took the write (a
    dotted version vector) or the client that made it. One comparison of the dot with the other's context decides,
    and two writes that did not see each other are concurrent, even if one server took both.
    """

    owner: str
    number: int
    context: Vector = field(default_factory=Vector)

    def relation(self, other: Version) -> str:
        """Whether one's writer had seen the other; ``concurrent`` versions are siblings, and both must be kept."""
        if (self.owner, self.number) == (other.owner, other.number):
            return EQUAL
        if other.context.knows(self.owner, self.number):
            return BEFORE
        return AFTER if self.context.knows(other.owner, other.number) else CONCURRENT

    @property
    def vector(self) -> Vector:
        """The plain version vector: context and dot in one, in which the dot can no longer be told apart."""
        return self.context.merge(Vector(((self.owner, self.number),)))

    @property
    def size_bytes(self) -> int:
        """The dot and the context."""
        return NODE_BYTES + COUNTER_BYTES + self.context.size_bytes

    def __str__(self) -> str:
        return f"({self.owner}:{self.number}) after {self.context}"


IMMUTABLE.update((Lamport, Vector, Version))


def vector(counts: Mapping[str, int]) -> Vector:
    """The vector with these counts; names in order, so that equal vectors have equal entries."""
    return Vector(tuple(sorted((node, count) for node, count in counts.items() if count)))


def joined(vectors: Iterable[Vector]) -> Vector:
    """What any of them knows."""
    result = Vector()
    for each in vectors:
        result = result.merge(each)
    return result


def ordered(one: int | tuple[int, ...], other: int | tuple[int, ...]) -> str:
    """The relation of two readings of a clock that knows only earlier and later."""
    if one == other:
        return EQUAL
    return BEFORE if one < other else AFTER


def maximal(versions: Iterable[Version], *, by_vector: bool = False) -> list[Version]:
    """The versions that no other one comes after, in the order given: the siblings.

    `by_vector` compares plain version vectors instead of dots. If servers name the versions, that is wrong: of two
    concurrent writes through one server the second seems to have seen the first.
    """
    known = list(dict.fromkeys(versions))

    def relation(one: Version, other: Version) -> str:
        return one.vector.relation(other.vector) if by_vector else one.relation(other)

    return [one for one in known if not any(relation(one, other) == BEFORE for other in known)]
