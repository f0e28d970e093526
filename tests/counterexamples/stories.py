"""Counterexamples at random, and one of each kind."""

from __future__ import annotations

from hypothesis import strategies as st

from labkit.history import Operation, Stretch
from labkit.results import Verdict

TIMES = st.integers(0, 5_000_000)


@st.composite
def operations(draw) -> Operation:
    begin, outcome = draw(TIMES), draw(st.sampled_from(["ok", "fail", "unknown"]))
    lasts = draw(st.one_of(st.integers(0, 2_000), st.integers(0, 3_000_000)))
    end = None if outcome == "unknown" and draw(st.booleans()) else begin + lasts
    process = draw(st.sampled_from(["client-1.0", "client-1.1", "client-2.0", "an auditor with a long name"]))
    function = draw(st.sampled_from(["read", "write", "book", "resize"]))
    key, value = (
        draw(st.sampled_from(["key-0", "client-1/0", 7, ("flight-1", "account-2")])),
        draw(st.sampled_from(["client-1.0", None, 12, ("client-1.0", "client-2.0")])),
    )
    return Operation(process, function, key, value, begin, end, outcome)


@st.composite
def stretches(draw) -> Stretch:
    begin = draw(TIMES)
    label = draw(st.sampled_from(["holds the lease, token 8", "charges users/11"]))
    return Stretch(draw(st.sampled_from(["holder-1", "holder-2"])), label, begin, begin + draw(st.integers(0, 900_000)))


@st.composite
def verdicts(draw) -> Verdict:
    steps = draw(st.lists(st.one_of(operations(), stretches()), min_size=1, max_size=16))
    words = st.sampled_from(["acknowledged", "began after the 2nd had ended, and fits nowhere after that, " * 2])
    roles = draw(st.lists(words, min_size=len(steps), max_size=len(steps)))
    offending = draw(st.one_of(st.none(), st.integers(0, len(steps) - 1)))
    return Verdict.against("a property", "why", *zip(steps, roles, strict=True), offending=offending)


WRITE = Operation("client-1.0", "write", "client-1/0", "client-1.0", 2_120, 12_789, "ok")
READ = Operation("client-1.0", "read", "client-1/0", None, 12_789, 43_640, "ok")
MISSED, LATE = "acknowledged before the read began, and missed by it", "began later, and did not see it"
STALE = Verdict.against("every read is fresh", "1 of 1 reads missed a write", (WRITE, MISSED), (READ, LATE))
