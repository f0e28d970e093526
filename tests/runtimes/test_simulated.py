"""Nodes in the simulator: crashes, pauses, messages, and errors of their own."""

from __future__ import annotations

import asyncio

import pytest

from labkit import Constant, FaultPlan, Link, Network, Node, NodeFailure, RunTimedOut
from tests.clusters import client, node, simulate, simulate_work

EVENTS: list = []
DELAY = Network(Link(Constant(0.01)))


@pytest.fixture(autouse=True)
def no_events():
    EVENTS.clear()


def now() -> float:
    return asyncio.get_running_loop().time()


class Counter(Node):
    """Counts in memory and on disk, and tells when it starts and when it has worked."""

    def __init__(self, work: float = 0.0):
        self.work = work

    async def start(self) -> None:
        self.memory = 0
        self.note("started", disk=await self.disk.load_all())

    async def add(self, synced: bool = True) -> int:
        self.memory += 1
        self.disk.write("unsynced", self.memory)
        if synced:
            await self.disk.save("synced", self.memory)
            self.disk.write("unsynced", -self.memory)
        count = self.memory
        await self.sleep()
        return count

    async def sleep(self) -> None:
        try:
            await asyncio.sleep(self.work)
        finally:
            if self.work:
                self.note("left")

    async def append(self, basket: list) -> list:
        basket.append("pear")
        self.basket = basket
        return self.basket

    async def look(self) -> list:
        return self.basket


def labels(recording) -> list[tuple[str, float]]:
    return [(note.label, note.at_us / 1e6) for note in recording.notes]


async def call_until_answered(self):
    with self.operation("add") as operation:
        operation.value = await self.peer("counter").add(timeout=3)
    await asyncio.sleep(5)


def test_a_dead_node_answers_nobody_and_runs_nothing_on():
    plan = FaultPlan().crash("counter", at=0.5)
    recording = simulate_work(call_until_answered, node("counter", Counter, work=1), faults=plan, network=DELAY)
    assert [(o.outcome, o.returned_us) for o in recording.operations] == [("unknown", 3_000_000)]
    assert labels(recording) == [("started", 0)], "neither `finally` nor anything after the wait has run"


def test_a_restarted_node_has_its_disk_and_nothing_else():
    plan = FaultPlan().crash("counter", at=1).restart("counter", at=2)

    async def work(self):
        for synced in (True, True, False):
            await self.peer("counter").add(synced)
        await asyncio.sleep(3)
        EVENTS.append(await self.peer("counter").add())

    recording = simulate_work(work, node("counter", Counter), faults=plan)
    assert recording.notes[-1].details == {"disk": {"unsynced": 2, "synced": 2}}
    assert recording.notes[-1].at_us == 2_000_000
    assert EVENTS == [1]


def test_a_sync_under_way_at_the_crash_is_lost():
    plan = FaultPlan().crash("counter", at=0.15).restart("counter", at=1)
    recording = simulate_work(call_until_answered, node("counter", Counter), faults=plan, network=DELAY, sync_delay=0.2)
    assert recording.notes[-1].details == {"disk": {}}
    assert recording.operations[0].outcome == "unknown"


class Asker(Node):
    """Asks at every start, and records which answer it got."""

    async def start(self) -> None:
        EVENTS.append(("asked", now()))
        self.answer = self.peer("oracle").tell(now(), timeout=10)

    async def run(self) -> None:
        EVENTS.append(("told", await self.answer))
        await asyncio.sleep(3)


class Oracle(Node):
    async def tell(self, asked: float) -> float:
        await asyncio.sleep(0.5)
        return asked


def test_an_answer_to_an_earlier_incarnation_is_not_taken():
    plan = FaultPlan().crash("asker", at=0.2).restart("asker", at=0.4)
    simulate(node("asker", Asker), node("oracle", Oracle), client("clock", Sleeper), faults=plan, network=DELAY)
    assert EVENTS == [("asked", 0), ("asked", 0.4), ("told", 0.4)]


class Sleeper(Node):
    async def run(self) -> None:
        await asyncio.sleep(5)


class Ticker(Node):
    async def run(self) -> None:
        while True:
            await asyncio.sleep(1)
            EVENTS.append(("tick", now()))

    async def hit(self, number: int) -> None:
        EVENTS.append((number, now()))


def test_a_paused_node_does_nothing_until_it_is_resumed_and_then_all_of_it():
    plan = FaultPlan().pause("ticker", at=1.5).resume("ticker", at=3.75)

    async def work(self):
        for number in range(3):
            await asyncio.sleep(0.875)
            self.peer("ticker").hit(number)
        await asyncio.sleep(2)

    simulate_work(work, node("ticker", Ticker), faults=plan)
    # The timer due at 2 fires when the node runs again, after which the next second begins.
    assert EVENTS[:2] == [(0, 0.875), ("tick", 1)]
    assert set(EVENTS[2:5]) == {("tick", 3.75), (1, 3.75), (2, 3.75)}
    assert EVENTS.index((1, 3.75)) < EVENTS.index((2, 3.75))


def test_a_paused_caller_takes_an_answer_that_came_in_time():
    plan = FaultPlan().pause("client", at=0.005).resume("client", at=2)

    async def work(self):
        with self.operation("add"):
            await self.peer("counter").add(timeout=1)

    (operation,) = simulate_work(work, node("counter", Counter), faults=plan, network=DELAY).operations
    assert (operation.outcome, operation.returned_us) == ("ok", 2_000_000)


def test_a_crash_in_a_pause_drops_what_had_waited():
    plan = FaultPlan().pause("ticker", at=0.5).crash("ticker", at=1).resume("ticker", at=2)

    async def work(self):
        await asyncio.sleep(0.75)
        self.peer("ticker").hit(1)
        await asyncio.sleep(3)

    recording = simulate_work(work, node("ticker", Ticker), faults=plan)
    assert EVENTS == []
    assert [message.fate for message in recording.messages] == ["undelivered"]


def test_a_message_is_a_copy():
    async def work(self):
        basket = ["apple"]
        call = self.peer("counter").append(basket)
        basket.append("changed after sending")
        answer = await call
        answer.append("changed by the caller")
        EVENTS.extend([basket, await self.peer("counter").look()])

    simulate_work(work, node("counter", Counter), network=DELAY)
    assert EVENTS == [["apple", "changed after sending"], ["apple", "pear"]]


def test_each_duplicate_runs_the_handler_and_one_answer_counts():
    async def work(self):
        EVENTS.append(await self.peer("counter").append(["apple"]))
        await asyncio.sleep(1)
        EVENTS.append(await self.peer("counter").add(timeout=0.5))

    twice = Network(Link(Constant(0.01), duplication=1.0))
    recording = simulate_work(work, node("counter", Counter), network=twice)
    assert EVENTS[0] == ["apple", "pear"], "the copies share nothing"
    requests = [message for message in recording.messages if not message.is_reply and message.method == "add"]
    replies = [message for message in recording.messages if message.is_reply and message.method == "add"]
    assert [message.fate for message in requests] == ["duplicated"] * 2
    assert len(replies) == 4
    assert recording.messages_sent == 6, "a duplicated message was sent once"


def test_requests_wait_for_a_node_that_is_still_starting():
    class SlowStarter(Counter):
        async def start(self) -> None:
            await asyncio.sleep(1)
            await super().start()

    async def work(self):
        calls = [self.peer("counter").add(timeout=2) for _ in range(2)]
        EVENTS.extend([await call for call in calls])

    recording = simulate_work(work, node("counter", SlowStarter))
    assert EVENTS == [1, 2]
    assert recording.duration_us == 1_000_000


def test_the_fate_of_every_message_is_recorded():
    plan = (
        FaultPlan()
        .partition(["client"], ["counter"], at=1)
        .heal(at=2)
        .hold(["client"], ["counter"], at=3)
        .release(at=4)
        .crash("counter", at=5)
    )

    async def work(self):
        for _ in range(6):
            with self.operation("add"):
                await self.peer("counter").add(timeout=0.4)
            await asyncio.sleep(1.2 - now() % 1)

    recording = simulate_work(work, node("counter", Counter), network=DELAY, faults=plan)
    fates = [(round(m.sent_us / 1e6), m.fate, m.arrived_us is not None) for m in recording.messages if not m.is_reply]
    assert fates == [
        (0, "sent", True),
        (1, "partitioned", False),
        (2, "sent", True),
        (3, "held", False),
        (4, "sent", True),
        (4, "sent", True),
        (5, "undelivered", False),
    ]
    assert [fault.kind for fault in recording.faults] == [fault.kind for fault in plan]


def test_what_is_under_way_at_the_end_is_undelivered():
    async def work(self):
        self.peer("counter").add()
        await asyncio.sleep(0.005)

    recording = simulate_work(work, node("counter", Counter), network=DELAY)
    assert [(m.fate, m.arrived_us) for m in recording.messages] == [("undelivered", None)]


@pytest.mark.parametrize("limit", [0, 3, 1000])
def test_the_trace_has_a_limit_and_says_what_it_left_out(limit):
    async def work(self):
        for _ in range(5):
            await self.peer("counter").add()

    recording = simulate_work(work, node("counter", Counter), trace_limit=limit)
    assert recording.messages_sent == 10
    assert len(recording.messages) == min(limit, 10)
    assert recording.messages_dropped_from_trace == 10 - min(limit, 10)


def test_the_drain_lasts_as_long_as_it_should():
    plan = FaultPlan().crash("ticker", at=2).restart("ticker", at=3)
    simulate_work(lambda self: asyncio.sleep(0.5), node("ticker", Ticker), faults=plan, drain=5)
    assert [at for _, at in EVENTS] == [1, 4, 5]


class Broken(Node):
    """Raises an error that is no outcome of a call, in a place of its choice."""

    def __init__(self, place: str):
        self.place = place

    def fail(self, place: str) -> None:
        if place == self.place:
            raise ZeroDivisionError("nobody handles this")

    async def start(self) -> None:
        self.fail("start")
        self.spawn(self.work())

    async def run(self) -> None:
        self.fail("run")
        if self.place == "cancelled":
            asyncio.current_task().cancel()
            await asyncio.sleep(1)

    async def work(self) -> None:
        await asyncio.sleep(0.01)
        self.fail("task")

    async def handle(self) -> object:
        self.fail("handler")
        if self.place == "answer":
            return lambda: "cannot be sent"
        await asyncio.sleep(0.02)
        self.fail("handler that waits")
        return (lambda: "cannot be sent") if self.place == "answer that waits" else None


@pytest.mark.parametrize("place", ["start", "run", "task", "handler", "handler that waits"])
def test_an_error_that_nobody_handles_ends_the_run(place):
    with pytest.raises(NodeFailure, match=r"ZeroDivisionError in broken at 0\.0\d+ s: nobody handles this") as caught:
        simulate_work(lambda self: handled(self.peer("broken")), node("broken", Broken, place=place))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("place", ["answer", "answer that waits", "cancelled"])
def test_so_does_an_answer_that_cannot_be_sent_and_a_run_that_is_cancelled(place):
    with pytest.raises(NodeFailure):
        simulate_work(lambda self: handled(self.peer("broken")), node("broken", Broken, place=place))


async def handled(peer):
    await peer.handle()
    await asyncio.sleep(1)


class Withdrawn(Node):
    async def handle(self, late: bool) -> None:
        await asyncio.sleep(0.01 * late)
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled


@pytest.mark.parametrize("late", [False, True])
def test_a_handler_that_is_cancelled_never_answers(late):
    async def work(self):
        with self.operation("handle"):
            await self.peer("withdrawn").handle(late, timeout=0.5)

    (operation,) = simulate_work(work, node("withdrawn", Withdrawn)).operations
    assert (operation.outcome, operation.returned_us) == ("unknown", 500_000)


def test_the_recording_is_not_touched_after_the_run():
    class Lingering(Node):
        async def run(self) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                self.note("cleaned up")
                with self.operation("write"):
                    pass

    recording = simulate_work(lambda self: asyncio.sleep(1), node("lingering", Lingering))
    assert recording.notes == []
    assert recording.operations == []


def test_an_operation_without_a_response_is_unknown():
    async def work(self):
        self.spawn(self.forever())

    class Hasty(Node):
        run = work

        async def forever(self) -> None:
            with self.operation("write", "key", 1):
                await asyncio.sleep(100)

    (operation,) = simulate(client("hasty", Hasty)).operations
    assert (operation.outcome, operation.returned_us, operation.latency) == ("unknown", None, float("inf"))


def test_a_run_without_an_end_tells_who_is_not_finished():
    with pytest.raises(RunTimedOut, match="client had not finished"):
        simulate_work(lambda self: asyncio.sleep(100), time_limit=1)
