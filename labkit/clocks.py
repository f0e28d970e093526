"""Physical clocks that are wrong in known ways, and the hybrid logical clock.

A physical clock reads ``true time + offset + drift × elapsed``. True time is the runtime's own: virtual time in the
simulator, the machine's monotonic clock on Ray. Only measurements may look at it; a node sees its clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from labkit.copying import IMMUTABLE
from labkit.errors import BadInput

MILLION = 1_000_000
NEVER_US = 2**62


@dataclass(frozen=True)
class ClockError:
    """How a node's clock is wrong at the start: `offset` in seconds, `drift_ppm` in microseconds a second."""

    offset: float = 0.0
    drift_ppm: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.offset):
            raise BadInput(f"offset is {self.offset!r}: it must be a number of seconds")
        if not -MILLION < self.drift_ppm < math.inf:
            raise BadInput(f"drift_ppm is {self.drift_ppm!r}: it must be above -1000000, at which a clock stands still")


class PhysicalClock:
    """One node's clock: offset by some seconds, drifting by some parts per million, in whole microseconds.

    A drift of 10 ppm gains 0.864 s a day. Sleeping or timing out "for a second" on a fast clock takes less than a
    second of true time, as it does in a real machine.
    """

    def __init__(
        self,
        now_us: Callable[[], int],
        error: ClockError = ClockError(),
        owner: str = "",
        reservation: Reservation | None = None,
    ):
        self._now_us = now_us
        self._base_us = 0
        self._reading_us = round(error.offset * MILLION)
        self._drift_ppb = round(error.drift_ppm * 1000)
        self.hybrid = HybridClock(self, owner, reservation or Reservation())

    def now_us(self) -> int:
        """What the clock reads, in microseconds since the run began."""
        return self._at(self._now_us())

    def _at(self, true_us: int) -> int:
        elapsed = true_us - self._base_us
        return self._reading_us + elapsed + elapsed * self._drift_ppb // 1_000_000_000

    def now(self) -> float:
        """What the clock reads, in seconds since the run began."""
        return self.now_us() / MILLION

    @property
    def drift_ppm(self) -> float:
        """By how many microseconds the clock gains (or, if negative, loses) each second."""
        return self._drift_ppb / 1000

    def timestamp(self) -> Timestamp:
        """The reading as a timestamp: what a system that trusts its clocks orders its writes by."""
        return Timestamp(self.now_us(), 0, self.hybrid.owner)

    def step(self, seconds: float, at_us: int | None = None) -> None:
        """Set the clock forward (or back, if negative) by `seconds`, now or at an earlier true time `at_us`."""
        self._rebase(at_us)
        self._reading_us += round(seconds * MILLION)

    def set_drift(self, drift_ppm: float, at_us: int | None = None) -> None:
        """Let the clock gain `drift_ppm` microseconds a second from now on, or from `at_us` on."""
        self._rebase(at_us)
        self._drift_ppb = round(drift_ppm * 1000)

    def true_delay_us(self, seconds: float) -> int:
        """How many microseconds of true time pass while this clock counts `seconds`; `NEVER_US` for infinity."""
        if seconds == math.inf:
            return NEVER_US
        if not self._drift_ppb:
            return round(seconds * MILLION)
        return round(seconds * MILLION * 1e9 / (1_000_000_000 + self._drift_ppb))

    def _rebase(self, at_us: int | None) -> None:
        true_us = self._now_us() if at_us is None else at_us
        self._reading_us, self._base_us = self._at(true_us), true_us


class Timestamp(NamedTuple):
    """A timestamp, hybrid logical or (with `counter` 0) physical; `node` breaks ties, so any two are ordered."""

    physical_us: int
    counter: int
    node: str = ""


IMMUTABLE.add(Timestamp)


class Reservation:
    """Up to which reading a hybrid clock may have given out timestamps; this one lasts as long as the process."""

    def __init__(self) -> None:
        self.until_us = 0

    def extend(self, until_us: int) -> None:
        """Reserve up to `until_us`; what a disk keeps is durable when this returns."""
        self.until_us = until_us


RESERVED_AHEAD_US = 100_000
"""How far ahead a hybrid clock reserves: the fewer forced writes, the further ahead it may be after a crash."""


Reading = tuple[int, int]
"""What a hybrid clock reads: physical time in microseconds, and a counter for readings that share it."""


def following(now_us: int, seen: Reading) -> Reading:
    """The reading after all that was `seen`: the physical clock's `now_us` if that is later, else a count further."""
    return (now_us, 0) if now_us > seen[0] else (seen[0], seen[1] + 1)


class HybridClock:
    """A clock that stays close to physical time and never runs against causality, nor back after a crash.

    Kulkarni et al., Logical Physical Clocks, OPODIS 2014, figure 5. The figure has no crashes: here readings are
    reserved on the node's disk before they are given out, so that a new incarnation begins after all of them, by at
    most `RESERVED_AHEAD_US`. That is a forced write for each 0.1 s of readings, or for each where others' clocks
    are further ahead than that; it costs a simulation no time.
    """

    def __init__(self, physical: PhysicalClock, owner: str, reservation: Reservation):
        self._physical = physical
        self._reservation = reservation
        self.owner = owner
        self._latest = (reservation.until_us, 0)
        self._reserved_us = reservation.until_us

    def tick(self) -> Timestamp:
        """The timestamp of an event at this node: later than every one ticked or received here before."""
        return self._after(self._latest)

    def receive(self, remote: Timestamp) -> Timestamp:
        """Take note of a timestamp that a message brought; the next tick is later than it."""
        return self._after(max(self._latest, (remote.physical_us, remote.counter)))

    @property
    def latest(self) -> Reading:
        """The last reading that was given out, or reserved by an earlier life."""
        return self._latest

    def move_to(self, reading: Reading) -> Timestamp:
        """Give out this reading, whatever was given out before: for a rule that chooses readings itself."""
        now = self._physical.now_us()
        self._latest = reading
        if self._latest[0] >= self._reserved_us:
            # Never further ahead of the own clock than that, or crash upon crash would lead it away.
            self._reserved_us = max(self._latest[0] + 1, now + RESERVED_AHEAD_US)
            self._reservation.extend(self._reserved_us)
        return Timestamp(*self._latest, self.owner)

    def _after(self, seen: Reading) -> Timestamp:
        return self.move_to(following(self._physical.now_us(), seen))
