"""Short ways to write histories down, and long ones that a register has really gone through."""

from __future__ import annotations

from random import Random

from labkit.history import Operation


def write(process, value, begin, end, outcome="ok", key="x", number=0) -> Operation:
    return Operation(process, "write", key, value, begin, end, outcome, number=number)


def read(process, value, begin, end, outcome="ok", key="x", number=0) -> Operation:
    return Operation(process, "read", key, value, begin, end, outcome, number=number)


def lived_through(seed, *, clients, count, unknown=0, values=None, writes=0.5) -> list[Operation]:
    """The history of one register on which each operation took effect at an instant between its two ends.

    So it is linearizable by construction. Of the writes, `unknown` have an unknown outcome: half of them never took
    effect, and the others some time or long after their invocation. Values repeat if there are only so many `values`.
    """
    random = Random(f"lived through/{seed}")
    planned = []
    for client in range(clients):
        now = random.randrange(100)
        for turn in range(count // clients):
            at, end = now + random.randrange(1, 100), now + random.randrange(101, 200)
            kind = "write" if random.random() < writes else "read"
            value = random.randrange(values) if values else f"{client}.{turn}"
            operation = Operation(f"client-{client}", kind, "x", value, now, end, "ok", number=len(planned))
            planned.append([at, operation])
            now = end + random.randrange(1, 20)
    all_writes = [plan for plan in planned if plan[1].function == "write"]
    for number, plan in enumerate(random.sample(all_writes, min(unknown, len(all_writes)))):
        plan[1].outcome = "unknown"
        plan[1].returned_us = random.choice([plan[1].returned_us, None])
        plan[0] = float("inf") if number % 2 else plan[0] + random.randrange(5000)
    state = None
    for at, operation in sorted(planned, key=lambda plan: plan[0]):
        if operation.function == "read":
            operation.value = state
        elif at < float("inf"):
            state = operation.value
    return [operation for _, operation in planned]


def with_one_stale_read(history, seed) -> list[Operation]:
    """The same, but for one late read that returns a write which others had certainly overwritten before it began."""
    random = Random(f"one stale read/{seed}")
    reads = sorted((one for one in history if one.function == "read"), key=lambda one: one.invoked_us)
    late = reads[len(reads) * 9 // 10]
    acknowledged = sorted(
        (one for one in history if one.function == "write" and one.ok and one.returned_us < late.invoked_us),
        key=lambda one: one.returned_us,
    )
    late.value = random.choice(acknowledged[-60:-30]).value
    return history
