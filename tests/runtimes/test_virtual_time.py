"""Plain asyncio, and SimPy, run in the simulator's virtual time."""

from __future__ import annotations

import asyncio

import pytest
import simpy

from labkit import Node, NodeFailure, RunTimedOut
from labkit.runtimes import simulated_loop
from tests.clusters import client, node, simulate, simulate_work


def now() -> float:
    return asyncio.get_running_loop().time()


def seen_by(work):
    """What a lone client's work appends to the list that it is given."""
    seen = []

    async def run(self):
        await work(self, seen.append)

    recording = simulate_work(run)
    return seen, recording


def test_sleeping_takes_virtual_time_only():
    async def work(self, see):
        await asyncio.sleep(500)
        see(now())
        await asyncio.sleep(0.0000004)  # whatever takes time takes a microsecond at least
        see(now())

    seen, recording = seen_by(work)
    assert seen == [500, 500.000001]
    assert recording.duration_us == 500_000_001


def test_a_timeout_ends_what_takes_too_long():
    async def work(self, see):
        try:
            async with asyncio.timeout(0.25):
                await asyncio.sleep(1)
        except TimeoutError:
            see(now())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(1), 0.5)
        see(now())
        async with asyncio.timeout(0.25):
            await asyncio.sleep(0.2)
        see(now())

    assert seen_by(work)[0] == [0.25, 0.75, 0.95]


def test_gathered_work_runs_at_the_same_time():
    async def wait(seconds):
        await asyncio.sleep(seconds)
        return seconds

    async def work(self, see):
        see(await asyncio.gather(wait(3), wait(1), wait(2)))
        see(now())

    assert seen_by(work)[0] == [[3, 1, 2], 3]


def test_queues_and_events_wake_their_waiters_in_order():
    async def work(self, see):
        queue, gate = asyncio.Queue(maxsize=1), asyncio.Event()

        async def consume(name):
            await gate.wait()
            see((name, await queue.get(), now()))

        consumers = [self.spawn(consume(name)) for name in "abc"]
        await asyncio.sleep(1)
        gate.set()
        for number in range(3):
            await queue.put(number)
            await asyncio.sleep(0.5)
        await asyncio.gather(*consumers)

    assert seen_by(work)[0] == [("a", 0, 1), ("b", 1, 1.5), ("c", 2, 2)]


def test_locks_and_semaphores_are_fair():
    async def work(self, see):
        lock, two = asyncio.Lock(), asyncio.Semaphore(2)

        async def use(name, resource):
            async with resource:
                await asyncio.sleep(1)
                see((name, now()))

        await asyncio.gather(*(use(name, lock) for name in "abc"))
        await asyncio.gather(*(use(name, two) for name in "def"))

    assert seen_by(work)[0] == [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 4), ("f", 5)]


def cancelled_in_order():
    async def work(self, see):
        async def wait(name):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                see((name, now()))
                raise

        async def fail():
            await asyncio.sleep(1)
            raise ValueError

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(40):
                    group.create_task(wait(number))
                group.create_task(fail())
        except* ValueError:
            see("failed")

    return seen_by(work)[0]


def test_a_task_group_cancels_in_the_same_order_every_time():
    # Asyncio keeps the group's tasks in a set: with hashes made of addresses this order would be anyone's guess.
    orders = [cancelled_in_order() for _ in range(3)]
    assert orders[0] == orders[1] == orders[2]
    assert sorted(orders[0][:-1]) == [(number, 1) for number in range(40)]
    assert orders[0][-1] == "failed"


def test_a_cancelled_timer_never_fires():
    async def work(self, see):
        handle = asyncio.get_running_loop().call_later(1, see, "never")
        asyncio.get_running_loop().call_at(0.5, handle.cancel)
        await asyncio.sleep(2)
        see((handle.cancelled(), handle.when()))

    assert seen_by(work)[0] == [(True, 1.0)]


class Server(Node):
    """Has one CPU, a SimPy resource, in the same virtual time."""

    async def start(self):
        self.environment = asyncio.get_running_loop().environment
        self.cpu = simpy.Resource(self.environment, capacity=1)

    async def work(self, microseconds: int) -> int:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self.environment.process(self._occupy(microseconds)).callbacks.append(lambda _: done.set_result(None))
        await done
        return round(loop.time() * 1e6)

    def _occupy(self, microseconds):
        with self.cpu.request() as request:
            yield request
            yield self.environment.timeout(microseconds)


def test_simpy_resources_live_in_the_same_time():
    seen = []

    async def work(self):
        server = self.peer("server")
        calls = [server.work(300_000), server.work(200_000)]
        await asyncio.sleep(0.1)
        seen.extend([now(), *(await asyncio.gather(*map(ended, calls)))])

    simulate_work(work, node("server", Server))
    assert seen == [0.1, 300_000, 500_000]


async def ended(call):
    return await call


def test_an_earlier_loop_is_running_again_afterwards():
    async def notebook():
        outer = asyncio.get_running_loop()
        seen, _ = seen_by(lambda self, see: asyncio.sleep(1, see(now())))
        assert asyncio.get_running_loop() is outer
        return seen

    assert asyncio.run(notebook()) == [0]


class Patient(Node):
    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()


class Slow(Node):
    async def run(self) -> None:
        while True:
            await asyncio.sleep(1)


@pytest.mark.parametrize("kind", [Patient, Slow])
def test_a_client_that_does_not_finish_is_an_error(kind):
    with pytest.raises(RunTimedOut, match="slowpoke had not finished after 5 simulated seconds"):
        simulate(client("slowpoke", kind), time_limit=5)


class Echo(Node):
    async def echo(self) -> None: ...


async def spin_without_a_timer(self):
    while True:
        await asyncio.sleep(0)


async def spin_on_timers_of_no_delay(self):
    loop = asyncio.get_running_loop()
    while True:
        fired = loop.create_future()
        loop.call_later(0, fired.set_result, None)
        await fired


async def spin_over_a_network_without_delay(self):
    while True:
        await self.peer("echo").echo()


@pytest.mark.parametrize(
    "work", [spin_without_a_timer, spin_on_timers_of_no_delay, spin_over_a_network_without_delay], ids=lambda w: w.__name__
)
def test_a_loop_that_lets_no_time_pass_is_an_error(work, monkeypatch):
    monkeypatch.setattr(simulated_loop, "SAME_INSTANT_LIMIT", 20_000)
    with pytest.raises(NodeFailure, match=r"20000 steps at 0\.000000 s: some node loops without letting time pass"):
        simulate_work(work, node("echo", Echo))


def test_much_to_do_at_one_instant_is_no_error():
    async def work(self, see):
        for _ in range(5_000):
            await asyncio.sleep(0)
        await asyncio.gather(*(asyncio.sleep(1) for _ in range(20_000)))
        see(now())

    assert seen_by(work)[0] == [1]
