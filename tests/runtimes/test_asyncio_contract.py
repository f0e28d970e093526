"""Node code is ordinary asyncio: what plain asyncio makes of a program, both runtimes make of it too."""

from __future__ import annotations

import asyncio
import gc
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from labkit import FaultPlan, Node, NodeFailure
from labkit.cluster import Cluster
from labkit.errors import NotSimulated
from labkit.latency import Constant
from labkit.network import Link, Network
from tests.clusters import client, node, simulate, simulate_work
from tests.runtimes.asyncio_programs import Asking, Programs, by_plain_asyncio, ignored

TEN_MS = Network(Link(Constant(0.01)))


@pytest.fixture(scope="module")
def plain() -> dict[str, object]:
    # In a thread of its own: what drives a browser in the same process keeps a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(by_plain_asyncio).result(timeout=60)


def answers(recording) -> dict[str, object]:
    (note,) = recording.notes
    return note.details


def test_in_simulation_every_program_does_what_it_does_under_plain_asyncio(plain):
    assert answers(simulate(node("programs", Programs), client("asking", Asking), network=TEN_MS)) == plain


@pytest.mark.real
def test_on_processes_every_program_does_what_it_does_under_plain_asyncio(plain):
    from labkit.runtimes import ray_actors

    cluster = Cluster([node("programs", Programs), client("asking", Asking)], network=TEN_MS)
    assert answers(ray_actors.execute(cluster, 0)) == plain


def test_plain_asyncio_itself_gives_what_its_documentation_says(plain):
    assert plain["timeout_of_nothing"] == ["timed out", "finally"]
    assert plain["cancel_myself"] == ["cancelled", "at the await: enough, 1", "finally"]
    assert plain["contexts"] == [("-", "r1"), ("-", "r2"), ("-", "-")]
    assert plain["same_deadline"] == [True, True]
    assert plain["timers_by_their_times"] == "slabc"
    assert plain["cancel all"] == [["wait_long"], "cancelled"]


class Forgetful(Node):
    def __init__(self, how: str):
        self.how = how

    async def handle(self) -> None:
        loop = asyncio.get_running_loop()
        if self.how == "forgotten task":
            _forget(self._fail_later())
        elif self.how == "held task":
            self.held = asyncio.create_task(self._fail_later())
        elif self.how == "callback":
            loop.call_later(0.1, int, "no number")
        elif self.how == "exit":
            sys.exit(0)
        elif self.how == "exit later":
            _forget(self._exit_later())

    async def _fail_later(self) -> None:
        await asyncio.sleep(0.1)
        int("no number")

    async def _exit_later(self) -> None:
        await asyncio.sleep(0.1)
        sys.exit(0)


def _forget(work) -> None:
    asyncio.get_running_loop().create_task(work)


async def asked(self) -> None:
    call = self.peer("server").handle()
    await asyncio.sleep(0.5)
    await call


class AskingOnce(Node):
    async def run(self) -> None:
        await asked(self)


FAILURES = {
    "forgotten task": r"ValueError in server at 0\.11\d* s: invalid literal",
    "held task": r"ValueError in server at 0\.11\d* s: invalid literal",
    "callback": r"ValueError in server at 0\.11\d* s: invalid literal",
    "exit": r"SystemExit in server at 0\.01\d* s: 0",
    "exit later": r"SystemExit in server at 0\.11\d* s: 0",
}


@pytest.mark.parametrize("how", FAILURES)
def test_an_error_that_nobody_awaits_is_that_nodes_failure(how):
    with pytest.raises(NodeFailure, match=FAILURES[how]):
        simulate_work(asked, node("server", Forgetful, how=how), network=TEN_MS)


@pytest.mark.real
@pytest.mark.parametrize("how", FAILURES)
def test_on_processes_it_is_that_too(how):
    from labkit.runtimes import ray_actors

    cluster = Cluster([node("server", Forgetful, how=how), client("client", AskingOnce)], network=TEN_MS)
    kind = FAILURES[how].split()[0]
    with pytest.raises(NodeFailure, match=rf"{kind} in server at \d+\.\d{{6}} s: "):
        ray_actors.execute(cluster, 0)


def test_an_error_in_the_constructor_is_that_nodes_failure():
    class Unborn(Node):
        def __init__(self) -> None:
            raise LookupError("no such thing")

    with pytest.raises(NodeFailure, match=r"LookupError in server at 0\.000000 s: no such thing"):
        simulate_work(asked, node("server", Unborn))


def test_an_error_whose_message_fails_is_told_all_the_same():
    class Speechless(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class Server(Node):
        async def handle(self) -> None:
            raise Speechless

    with pytest.raises(NodeFailure, match=r"Speechless in server at 0\.000000 s: \(its text cannot be made"):
        simulate_work(asked, node("server", Server))


def test_the_error_of_a_dead_node_is_not_told():
    class Server(Node):
        async def handle(self) -> None:
            self.held = asyncio.create_task(ignored())

    async def run(self) -> None:
        self.peer("server").handle()
        await asyncio.sleep(1)

    recording = simulate_work(run, node("server", Server), faults=FaultPlan().crash("server", at=0.2))
    assert [fault.kind for fault in recording.faults] == ["crash"]


REFUSED = {
    "a thread": lambda loop: asyncio.to_thread(int),
    "an executor": lambda loop: loop.run_in_executor(None, int),
    "another thread's call": lambda loop: loop.call_soon_threadsafe(int),
    "a connection": lambda loop: asyncio.open_connection("127.0.0.1", 1),
    "a server": lambda loop: asyncio.start_server(int, "127.0.0.1", 1),
    "a process": lambda loop: asyncio.create_subprocess_exec("true"),
    "a signal": lambda loop: loop.add_signal_handler(1, int),
    "a name": lambda loop: loop.getaddrinfo("localhost", 1),
    "a reader": lambda loop: loop.add_reader(0, int),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_part_of_a_simulation_is_refused_in_one_sentence(what):
    said = []

    async def work(self) -> None:
        try:
            refused = REFUSED[what](asyncio.get_running_loop())
            if asyncio.iscoroutine(refused):
                await refused
        except NotSimulated as error:
            said.append(str(error))

    simulate_work(work)
    (sentence,) = said
    assert "is not part of a simulation: " in sentence
    assert "\n" not in sentence


class Lingering(Node):
    """Leaves a generator that has something to do in its end."""

    def __init__(self, how: str):
        self.how = how

    async def handle(self) -> None:
        async for _ in self._numbers():
            break

    async def _numbers(self):
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0.1)
            if self.how == "fails":
                raise KeyError("in the end")
            self.peer("sink").hear()


class Sink(Node):
    async def hear(self) -> None:
        self.note("heard")


async def leave_and_wait(self) -> None:
    self.peer("lingering").handle()
    await asyncio.sleep(1)
    self.note("tasks", seen=len(asyncio.all_tasks()))


@pytest.mark.parametrize(("crashed", "heard"), [(False, 1), (True, 0)])
def test_what_a_generator_does_in_its_end_is_its_nodes(crashed, heard):
    faults = FaultPlan().crash("lingering", at=0.05) if crashed else FaultPlan()
    nodes = node("lingering", Lingering, how="ends"), node("sink", Sink)
    notes = simulate_work(leave_and_wait, *nodes, faults=faults, network=TEN_MS).notes
    assert sum(note.label == "heard" for note in notes) == heard
    assert notes[-1].details["seen"] == 1  # the other node's tasks are no business of this one's


def test_an_error_in_a_generators_end_is_its_nodes_failure():
    with pytest.raises(NodeFailure, match=r"KeyError in lingering at 0\.110\d* s"):
        simulate_work(leave_and_wait, node("lingering", Lingering, how="fails"), node("sink", Sink), network=TEN_MS)


def test_no_node_can_stop_the_loop_of_all():
    async def work(self) -> None:
        asyncio.get_running_loop().stop()

    with pytest.raises(NodeFailure, match=r"NotSimulated in client at 0\.000000 s: loop.stop is not part of"):
        simulate_work(work)


def test_a_nodes_exception_handler_does_not_hear_of_another_nodes_errors():
    class Cyclic(Node):
        async def handle(self) -> None:
            async def fail() -> None:
                me = asyncio.current_task()
                await asyncio.sleep(0.001)
                raise ValueError(me.get_name())  # its frame holds the task, so only the garbage collector frees it

            asyncio.get_running_loop().create_task(fail())

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: self.note("not mine"))
        self.peer("cyclic").handle()
        await asyncio.sleep(0.1)
        gc.collect()
        await asyncio.sleep(0.1)

    with pytest.raises(NodeFailure, match=r"ValueError in cyclic at 0\.011\d* s"):
        simulate_work(work, node("cyclic", Cyclic), network=TEN_MS)


def test_asyncios_own_methods_may_be_called_with_the_task_of_a_first_step():
    class Server(Node):
        async def handle(self) -> list:
            task = asyncio.current_task()
            kind = type(task)
            return [kind.get_name(task) == task.get_name(), asyncio.Task.get_coro(task) is not None, task.cancelling()]

        async def mark(self) -> bool:
            task = asyncio.current_task()
            was_marked = hasattr(task, "mark")
            task.mark = True
            return was_marked

    async def work(self) -> None:
        marks = [await self.peer("server").mark() for _ in range(3)]
        self.note("answer", of=await self.peer("server").handle(), marks=marks)

    (note,) = simulate_work(work, node("server", Server)).notes
    assert note.details == {"of": [True, True, 0], "marks": [False, False, False]}


def test_a_constructor_may_make_what_belongs_to_the_loop_and_must_not_exit():
    class Early(Node):
        def __init__(self) -> None:
            self.future = asyncio.Future()

        async def handle(self) -> bool:
            return self.future.get_loop() is asyncio.get_running_loop()

    class Leaving(Node):
        def __init__(self) -> None:
            sys.exit(0)

    async def work(self) -> None:
        self.note("answer", same=await self.peer("early").handle())

    (note,) = simulate_work(work, node("early", Early)).notes
    assert note.details["same"]
    with pytest.raises(NodeFailure, match=r"SystemExit in leaving at 0\.000000 s: 0"):
        simulate_work(work, node("leaving", Leaving))


@pytest.mark.parametrize("loop_is", ["simulated", "plain"])
def test_cancelled_timers_are_dropped(loop_is):
    queue_lengths = []

    async def wait_often() -> None:
        loop = asyncio.get_running_loop()
        queue = loop.environment._queue if loop_is == "simulated" else loop._scheduled
        for number in range(20_000):
            async with asyncio.timeout(3600):
                await asyncio.sleep(0)
            if number % 100 == 0:
                queue_lengths.append(len(queue))

    if loop_is == "plain":
        asyncio.run(wait_often())
    else:
        simulate_work(lambda self: wait_often())
    assert max(queue_lengths) < 1000


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_so_are_calls_that_were_answered_long_before_their_timeout(spread):
    class Echo(Node):
        async def echo(self) -> None: ...

    async def work(self) -> None:
        for _ in range(10_000):
            await self.peer("echo").echo(timeout=3600.0 + spread * self.random.random())
        host = self._host
        self.note("remembered", calls=len(host._in_line) + len(host._out_of_line) + len(host._delays))

    (note,) = simulate_work(work, node("echo", Echo), network=TEN_MS).notes
    assert note.details["calls"] < 2500


def test_a_call_may_wait_for_ever():
    class Slow(Node):
        async def handle(self) -> str:
            await asyncio.sleep(100)
            return "at last"

    async def work(self) -> None:
        self.note("answer", value=await self.peer("slow").handle(timeout=float("inf")))
        with pytest.raises(ValueError, match="timeout is nan"):
            self.peer("slow").handle(timeout=float("nan"))

    (note,) = simulate_work(work, node("slow", Slow)).notes
    assert note.details["value"] == "at last"


def test_a_restarted_nodes_hybrid_clock_goes_on_after_its_last_stamp():
    class Stamping(Node):
        async def hear(self, day_us: int) -> tuple:
            self.clock.hybrid.receive(self.clock.timestamp()._replace(physical_us=day_us))
            return self.clock.hybrid.tick()

        async def stamp(self) -> tuple:
            return self.clock.hybrid.tick()

    async def work(self) -> None:
        peer = self.peer("stamping")
        before = await peer.hear(86_400_000_000)
        await asyncio.sleep(1)
        self.note("stamps", before=before, after=await peer.stamp())

    faults = FaultPlan().crash("stamping", at=0.5).restart("stamping", at=0.6)
    (note,) = simulate_work(work, node("stamping", Stamping), network=TEN_MS, faults=faults).notes
    assert note.details["after"] > note.details["before"]
