"""Which shard keeps a key: by range, modulo, ring, rendezvous, jump, or part of the record. Pure, and without state.

Every placement answers two questions: `shard_of(key)`, and what it would be with other shards, `resized(shards)`. Keys
are hashed by BLAKE2b, never by Python's own `hash`, which differs from process to process. Taught in lab 17.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from labkit.errors import BadInput

MASK = 2**64 - 1
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def hash64(key: Any) -> int:
    """64 bits of BLAKE2b (RFC 7693) over the key's text: the same in every process and on every machine."""
    return int.from_bytes(blake2b(str(key).encode(), digest_size=8).digest(), "big")


def mixed(number: int) -> int:
    """A permutation of 64-bit numbers in which each bit of the input flips about half of the output's.

    The finaliser of SplitMix64: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & MASK
    return number ^ (number >> 31)


class Placement(ABC):
    """Says which of `shards`, each named by text or a number, keeps a key."""

    def __init__(self, shards: Iterable[Any]):
        self.shards = tuple(shards)
        # By their text, since that is what is hashed: the number 1 and the text "1" would be one place.
        texts = dict.fromkeys(map(str, self.shards))
        if not self.shards or len(texts) < len(self.shards):
            raise BadInput(f"shards is {self.shards!r}: it must be one or more names, each once")

    @abstractmethod
    def shard_of(self, key: Any) -> Any:
        """The shard that keeps `key`."""

    @abstractmethod
    def resized(self, shards: Iterable[Any]) -> Placement:
        """The same rule for other shards."""

    def shards_between(self, low: Any, high: Any) -> tuple[Any, ...]:
        """The shards that keep keys from `low` to `high`, both included: what a scan has to ask, unless told better."""
        return self.shards


class Range(Placement):
    """Neighbouring keys together: shard i keeps the keys from its boundary up to the next one's.

    `cut` gives the boundaries, in order, that divide the keys among so many shards: one fewer than there are shards.
    """

    def __init__(self, shards: Iterable[Any], cut: Callable[[int], Sequence[Any]]):
        super().__init__(shards)
        self._cut = cut
        self.boundaries = list(cut(len(self.shards)))
        if len(self.boundaries) != len(self.shards) - 1 or not _is_in_order(self.boundaries):
            raise BadInput(f"boundaries are {self.boundaries!r}: they must be in order, one fewer than the shards")

    def shard_of(self, key: Any) -> Any:
        return self.shards[bisect_right(self.boundaries, key)]

    def shards_between(self, low: Any, high: Any) -> tuple[Any, ...]:
        if not low <= high:
            raise BadInput(f"high is {high!r}: it must be at least low, which is {low!r}")
        return self.shards[bisect_right(self.boundaries, low) : bisect_right(self.boundaries, high) + 1]

    def resized(self, shards: Iterable[Any]) -> Range:
        return Range(shards, self._cut)

    @classmethod
    def by_letter(cls, shards: Iterable[Any]) -> Range:
        """The alphabet in equal parts, for keys in small letters: of two shards one has A–M, the other N–Z.

        Three letters say a boundary, so that there can be 17,576 shards at most.
        """
        return cls(shards, _letters)

    @classmethod
    def by_number(cls, shards: Iterable[Any], size: int) -> Range:
        """1 to `size` on the first shard, the next `size` numbers on the second, …, all the rest on the last."""
        _require_whole("size", size)
        return cls(shards, partial(_numbers, size))

    @classmethod
    def by_sample(cls, shards: Iterable[Any], keys: Iterable[Any]) -> Range:
        """Boundaries at equal shares of a sample of the keys, as a system sets them that splits what has grown."""
        ordered = sorted(keys)
        if not ordered:
            raise BadInput("the sample has no keys: it must have one or more")
        return cls(shards, partial(_quantiles, ordered))


class Hashed(Placement):
    """A placement that looks at a key's hash alone, so that neighbouring keys are strewn over all shards."""

    def shard_of(self, key: Any) -> Any:
        return self.shard_of_hash(hash64(key))

    @abstractmethod
    def shard_of_hash(self, hashed: int) -> Any:
        """The shard of the keys with this 64-bit hash: spares hashing a key once more for each placement."""


class Modulo(Hashed):
    """The hash modulo the number of shards: even, and with another number of shards nearly everything moves.

    A whole number is not hashed, as is usual with user numbers.
    """

    def shard_of(self, key: Any) -> Any:
        return self.shard_of_hash(key if isinstance(key, int) else hash64(key))

    def shard_of_hash(self, hashed: int) -> Any:
        return self.shards[hashed % len(self.shards)]

    def resized(self, shards: Iterable[Any]) -> Modulo:
        return Modulo(shards)


class Ring(Hashed):
    """Consistent hashing: each shard has `points` on a circle, and keeps the keys up to each of them.

    Karger et al., Consistent hashing and random trees, STOC 1997, section 4; the points are the virtual nodes of
    Dynamo (DeCandia et al., SOSP 2007, section 4.2). `salt` gives another circle.
    """

    def __init__(self, shards: Iterable[Any], points: int = 100, salt: int = 0):
        super().__init__(shards)
        _require_whole("points", points)
        self.points, self.salt = points, salt
        circle = sorted((hash64(f"{salt}/{shard}/{i}"), shard) for shard in self.shards for i in range(points))
        self._places = [place for place, _ in circle]
        self._owners = [shard for _, shard in circle]

    def shard_of_hash(self, hashed: int) -> Any:
        return self._owners[bisect_right(self._places, hashed) % len(self._owners)]

    def resized(self, shards: Iterable[Any]) -> Ring:
        return Ring(shards, self.points, self.salt)


class Rendezvous(Hashed):
    """Highest random weight: every shard draws a number for the key, and the highest wins. Time grows with shards.

    Thaler and Ravishankar, Using name-based mappings to increase hit rates, IEEE/ACM Transactions on Networking 1998.
    """

    def __init__(self, shards: Iterable[Any]):
        super().__init__(shards)
        self._seeds = [(hash64(shard), shard) for shard in self.shards]

    def shard_of_hash(self, hashed: int) -> Any:
        return max((mixed(hashed ^ seed), shard) for seed, shard in self._seeds)[1]

    def resized(self, shards: Iterable[Any]) -> Rendezvous:
        return Rendezvous(shards)


class Jump(Hashed):
    """Jump consistent hash: no memory and the best balance, but only the last of the shards can be taken away.

    Lamping and Veach, A fast, minimal memory, consistent hash algorithm, 2014, figure 1.
    """

    def shard_of_hash(self, hashed: int) -> Any:
        return self.shards[jump(hashed, len(self.shards))]

    def resized(self, shards: Iterable[Any]) -> Jump:
        return Jump(shards)


def jump(key: int, buckets: int) -> int:
    """The bucket of a 64-bit key: as buckets are added one by one, a key jumps from bucket to ever later bucket.

    Raises `BadInput` for no buckets, and for a key that 64 bits cannot hold.
    """
    _require_whole("buckets", buckets)
    if not 0 <= key <= MASK:
        raise BadInput(f"key is {key!r}: it must be a whole number from 0 to 2**64 - 1")
    here, following = 0, 0
    while following < buckets:
        here = following
        key = (key * 2862933555777941757 + 1) & MASK
        following = int((here + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return here


class Vertical(Placement):
    """By what a record is about: a key is (user, part), and each of the `parts` is kept whole, on one shard.

    Parts are dealt to the shards in turn: shards beyond the number of parts get nothing.
    """

    def __init__(self, shards: Iterable[Any], parts: Iterable[str]):
        super().__init__(shards)
        self.parts = tuple(parts)
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise BadInput(f"parts is {self.parts!r}: it must be one or more names, each once")
        self._homes = {part: self.shards[place % len(self.shards)] for place, part in enumerate(self.parts)}

    def shard_of(self, key: tuple[Any, str]) -> Any:
        if key[1] not in self._homes:
            raise BadInput(f"the key's part is {key[1]!r}: it must be one of {', '.join(self.parts)}")
        return self._homes[key[1]]

    def resized(self, shards: Iterable[Any]) -> Vertical:
        return Vertical(shards, self.parts)


def loads(placement: Placement, keys: Iterable[Any]) -> dict[Any, int]:
    """How many of the keys each shard keeps."""
    counts = dict.fromkeys(placement.shards, 0)
    for key in keys:
        counts[placement.shard_of(key)] += 1
    return counts


def moved(before: Placement, after: Placement, keys: Iterable[Any]) -> int:
    """How many of the keys change their shard."""
    return sum(before.shard_of(key) != after.shard_of(key) for key in keys)


def _require_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"{name} is {value!r}: it must be a whole number from 1 up")


def _is_in_order(boundaries: Sequence[Any]) -> bool:
    # Not by sorting: a NaN is in no order to anything, and sorted() leaves it where it stands.
    return all(one <= other for one, other in pairwise(boundaries)) and all(each == each for each in boundaries)


def _letters(shards: int) -> list[str]:
    if shards > 26**3:
        raise BadInput(f"there are {shards:,} shards: the alphabet divides among at most {26**3:,}")
    # A boundary within a letter takes a second and a third letter to say.
    places = [round(index * 26**3 / shards) for index in range(1, shards)]
    return ["".join(ALPHABET[place // 26**power % 26] for power in (2, 1, 0)).rstrip("a") for place in places]


def _numbers(size: int, shards: int) -> list[int]:
    return [size * index + 1 for index in range(1, shards)]


def _quantiles(ordered: Sequence[Any], shards: int) -> list[Any]:
    return [ordered[len(ordered) * index // shards] for index in range(1, shards)]
