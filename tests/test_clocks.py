"""Physical clocks are wrong by exactly what they are told; hybrid clocks respect causality."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.clocks import MILLION, RESERVED_AHEAD_US, ClockError, PhysicalClock, Reservation, Timestamp
from labkit.errors import BadInput

DAY_US = 86_400 * MILLION
PPM = st.integers(-200_000, 200_000)
ELAPSED = st.integers(0, 10 * DAY_US)


class TrueTime:
    def __init__(self):
        self.us = 0

    def __call__(self) -> int:
        return self.us


def clock(offset: float = 0.0, drift_ppm: float = 0.0, owner: str = "n") -> tuple[TrueTime, PhysicalClock]:
    true = TrueTime()
    return true, PhysicalClock(true, ClockError(offset, drift_ppm), owner)


def test_ten_ppm_are_864_milliseconds_a_day_exactly():
    true, fast = clock(drift_ppm=10)
    true.us = DAY_US
    assert fast.now_us() - true.us == 864_000
    assert fast.now() == 86_400.864


@given(ELAPSED, st.integers(-(10**9), 10**9), PPM)
def test_a_clock_reads_true_time_and_offset_and_drift(elapsed, offset_us, ppm):
    true, wrong = clock(offset_us / MILLION, ppm)
    true.us = elapsed
    assert wrong.now_us() == elapsed + offset_us + elapsed * ppm // MILLION
    assert wrong.timestamp() == Timestamp(wrong.now_us(), 0, "n")


@given(ELAPSED, st.integers(-(10**8), 10**8), PPM)
def test_a_step_changes_the_reading_by_that_much_and_the_rate_not_at_all(elapsed, step_us, ppm):
    true, stepped = clock(drift_ppm=ppm)
    true.us = elapsed
    before = stepped.now_us()
    stepped.step(step_us / MILLION)
    assert stepped.now_us() == before + step_us
    assert stepped.drift_ppm == ppm
    true.us += MILLION
    assert stepped.now_us() == before + step_us + MILLION + ppm


@given(st.lists(st.tuples(st.integers(0, DAY_US), PPM), max_size=6), st.integers(0, DAY_US))
def test_drift_is_piecewise_and_never_makes_the_clock_jump(pieces, last):
    true, drifting = clock()
    expected = ppm = 0
    for elapsed, next_ppm in [*pieces, (last, 0)]:
        true.us += elapsed
        expected += elapsed + elapsed * ppm // MILLION
        assert drifting.now_us() == expected
        drifting.set_drift(next_ppm)
        assert drifting.now_us() == expected
        ppm = next_ppm


@given(st.integers(0, DAY_US), st.integers(0, DAY_US), PPM, st.integers(-(10**8), 10**8))
def test_a_fault_heard_of_late_counts_from_when_it_happened(when, delay, ppm, step_us):
    true, on_time = clock()
    other_true, late = clock()
    true.us = when
    on_time.set_drift(ppm)
    on_time.step(step_us / MILLION)
    true.us = other_true.us = when + delay
    late.set_drift(ppm, at_us=when)
    late.step(step_us / MILLION, at_us=when)
    assert late.now_us() == on_time.now_us()


@given(st.integers(0, DAY_US), PPM, st.integers(0, DAY_US))
def test_the_true_delay_is_what_passes_while_the_clock_counts(count_us, ppm, start):
    true, drifting = clock(drift_ppm=ppm)
    true.us = start
    before = drifting.now_us()
    true.us += drifting.true_delay_us(count_us / MILLION)
    assert abs(drifting.now_us() - before - count_us) <= 2


@given(st.integers(0, DAY_US))
def test_a_clock_without_drift_counts_true_seconds(count_us):
    assert clock(offset=5)[1].true_delay_us(count_us / MILLION) == count_us


def test_any_two_timestamps_are_ordered_by_node_at_last():
    assert Timestamp(1, 0, "b") < Timestamp(1, 1, "a") < Timestamp(2, 0, "a") < Timestamp(2, 0, "b")


# A step of a random execution: how long after the last one, at which node, and whose message it receives, if any.
STEPS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2), st.none() | st.integers(0, 50)), max_size=50)
OFFSETS = st.lists(st.integers(-100, 100), min_size=3, max_size=3)
DRIFTS = st.lists(PPM, min_size=3, max_size=3)


def execute(steps, offsets, drifts):
    """Each event's node, its causes among earlier events, its timestamp, and all the clocks' readings then."""
    true = TrueTime()
    clocks = [
        PhysicalClock(true, ClockError(offset / MILLION, drift), f"n{number}")
        for number, (offset, drift) in enumerate(zip(offsets, drifts, strict=True))
    ]
    events: list[tuple[int, list[int], Timestamp, int, int]] = []
    for gap, place, cause in steps:
        true.us += gap
        causes = [number for number, event in enumerate(events) if event[0] == place][-1:]
        if cause is None or cause >= len(events):
            stamp = clocks[place].hybrid.tick()
        else:
            causes.append(cause)
            stamp = clocks[place].hybrid.receive(events[cause][2])
        furthest = max(one.now_us() for one in clocks)
        events.append((place, causes, stamp, clocks[place].now_us(), furthest))
    return events


@given(STEPS, OFFSETS, DRIFTS)
def test_hybrid_timestamps_respect_causality_and_strictly_increase(steps, offsets, drifts):
    events = execute(steps, offsets, drifts)
    for _, causes, stamp, _, _ in events:
        for cause in causes:
            assert events[cause][2] < stamp


@given(STEPS, OFFSETS, DRIFTS)
def test_hybrid_timestamps_lie_between_the_own_clock_and_the_furthest(steps, offsets, drifts):
    # The clock starts at 0, so a clock that reads less than that cannot pull it back.
    for _, _, stamp, own, furthest in execute(steps, offsets, drifts):
        assert own <= stamp.physical_us <= max(furthest, 0)


@given(STEPS)
def test_equal_clocks_need_no_counter_beyond_the_events_of_one_instant(steps):
    events = execute(steps, [0, 0, 0], [0, 0, 0])
    for position, (_, _, stamp, own, _) in enumerate(events):
        same_instant = [event for event in events[: position + 1] if event[3] == own]
        assert stamp.physical_us == own
        assert stamp.counter <= len(same_instant)


@pytest.mark.parametrize("step", [-10.0, -0.000_001])
def test_a_clock_that_is_set_back_does_not_take_the_hybrid_clock_along(step):
    true, set_back = clock()
    true.us = MILLION
    before = set_back.hybrid.tick()
    set_back.step(step)
    after = set_back.hybrid.tick()
    assert set_back.now_us() < before.physical_us
    assert after > before


LIVES = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.integers(0, 200_000)),
        st.tuples(st.just("receive"), st.integers(0, 10**12)),
        st.tuples(st.just("step"), st.integers(-(10**9), 10**9)),
        st.tuples(st.just("crash"), st.integers(0, 1000)),
    ),
    max_size=30,
)


@given(LIVES)
def test_no_crash_takes_a_hybrid_clock_back(lives):
    true, reservation, error, stamps = TrueTime(), Reservation(), ClockError(), [Timestamp(-1, 0)]
    own = PhysicalClock(true, error, "n", reservation)
    for kind, amount in lives:
        if kind == "tick":
            true.us += amount
            stamps.append(own.hybrid.tick())
        elif kind == "receive":
            stamps.append(own.hybrid.receive(Timestamp(amount, amount % 3, "m")))
            assert (stamps[-1].physical_us, stamps[-1].counter) > (amount, amount % 3)
        elif kind == "step":
            own.step(amount / MILLION)
        else:
            true.us += amount
            before = own.hybrid.tick()
            own = PhysicalClock(true, error, "n", reservation)
            after = own.hybrid.tick()
            assert before < after
            ahead = after.physical_us - max(before.physical_us, own.now_us())
            assert ahead <= RESERVED_AHEAD_US
            stamps += [before, after]
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize("offset", [math.nan, math.inf])
def test_an_offset_is_a_number_of_seconds(offset):
    with pytest.raises(BadInput, match="offset is"):
        ClockError(offset)
