"""Both disks keep what was synced through a crash, and lose what was only written."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.disk import FileDisk, Platter, SimulatedDisk

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from("ab"), st.integers(0, 9)),
        st.just(("sync",)),
        st.just(("crash",)),
    ),
    max_size=25,
)


class Simulated:
    """A simulated disk and its crashes."""

    def __init__(self, _folder):
        self._platter = Platter()
        self.start()

    def start(self):
        self.disk = SimulatedDisk(self._platter)

    def crash(self):
        self.start()


class OnFile:
    """A disk in a file, and its crashes."""

    def __init__(self, folder):
        self.path = folder / f"{len(list(folder.iterdir()))}.log"
        self.start()

    def start(self):
        self.disk = FileDisk(self.path)

    def crash(self):
        self.disk.close()
        self.start()


@pytest.fixture(params=[Simulated, OnFile])
def machine(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("disk"))


@pytest.fixture(params=[Simulated, OnFile], scope="module")
def new_machine(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("disks")
    return lambda: request.param(folder)


@given(STEPS)
def test_a_crash_loses_exactly_what_was_not_synced(new_machine, steps):
    machine = new_machine()

    async def work():
        durable, volatile = {}, {}
        for kind, *details in steps:
            if kind == "write":
                machine.disk.write(*details)
                volatile[details[0]] = details[1]
            elif kind == "sync":
                await machine.disk.sync()
                durable = dict(volatile)
            else:
                machine.crash()
                volatile = dict(durable)
            assert await machine.disk.load_all() == volatile
            assert await machine.disk.load("a", "none") == volatile.get("a", "none")

    asyncio.run(work())
    if isinstance(machine, OnFile):
        machine.disk.close()


def test_saving_is_writing_and_syncing(machine):
    async def work():
        await machine.disk.save(("any", 1), {"term": 3})
        machine.disk.write("vote", "b")
        machine.crash()
        return await machine.disk.load_all()

    assert asyncio.run(work()) == {("any", 1): {"term": 3}}


def test_the_disk_shares_no_memory_with_its_node(machine):
    async def work():
        log = [1]
        machine.disk.write("log", log)
        log.append(2)
        before = await machine.disk.load("log")
        await machine.disk.sync()
        (await machine.disk.load("log")).append(3)
        (await machine.disk.load_all())["log"].append(4)
        return before, await machine.disk.load("log")

    assert asyncio.run(work()) == ([1], [1])


def test_a_write_can_be_read_while_it_is_being_synced(machine):
    async def work():
        await machine.disk.save("term", 1)
        machine.disk.write("term", 2)
        syncing = asyncio.create_task(machine.disk.sync())
        await asyncio.sleep(0)
        return await machine.disk.load("term"), await machine.disk.load_all(), await syncing

    assert asyncio.run(work()) == (2, {"term": 2}, None)


def test_a_sync_waits_for_what_another_task_is_syncing():
    async def work():
        platter = Platter()
        disk = SimulatedDisk(platter, sync_delay=0.001)
        disk.write("vote", "a")
        other = asyncio.create_task(disk.sync())
        await asyncio.sleep(0)
        await disk.sync()
        found = dict(platter)
        await other
        return found

    assert asyncio.run(work()) == {"vote": "a"}


def test_a_sync_that_was_cancelled_forgets_nothing():
    async def work():
        platter = Platter()
        disk = SimulatedDisk(platter, sync_delay=0.001)
        disk.write("vote", "a")
        cancelled = asyncio.create_task(disk.sync())
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        in_memory = await disk.load("vote"), dict(platter)
        await disk.sync()
        return in_memory, platter

    assert asyncio.run(work()) == (("a", {}), {"vote": "a"})


def written_log(path) -> list[tuple[int, dict]]:
    """A log of several syncs: its length after each, and what was durable then."""
    states: list[tuple[int, dict]] = [(0, {})]

    async def work():
        disk = FileDisk(path)
        for number in range(4):
            disk.write(f"key-{number % 2}", "x" * number)
            disk.write("last", number)
            await disk.sync()
            states.append((path.stat().st_size, await disk.load_all()))
        disk.close()

    asyncio.run(work())
    return states


def loaded(path) -> dict:
    async def work():
        disk = FileDisk(path)
        try:
            return await disk.load_all()
        finally:
            disk.close()

    return asyncio.run(work())


def test_a_log_cut_at_any_byte_loses_no_record_that_was_synced_before(tmp_path):
    path = tmp_path / "log"
    states = written_log(path)
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept, expected = [state for state in states if state[0] <= length][-1]
        assert loaded(path) == expected
        assert path.stat().st_size == kept, "the torn record is cut off, so that new ones can follow"


def test_a_log_goes_on_after_a_torn_record(tmp_path):
    path = tmp_path / "log"
    written_log(path)
    path.write_bytes(path.read_bytes()[:-1])

    async def work():
        disk = FileDisk(path)
        await disk.save("after", 1)
        disk.close()

    asyncio.run(work())
    assert loaded(path)["after"] == 1
    assert loaded(path)["last"] == 2


def test_a_damaged_last_record_is_not_believed(tmp_path):
    path = tmp_path / "log"
    states = written_log(path)
    whole = path.read_bytes()
    for position in range(states[-2][0], len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x40]) + whole[position + 1 :])
        assert loaded(path) == states[-2][1]


def test_values_that_cannot_be_pickled_are_refused_when_written(machine):
    with pytest.raises((pickle.PicklingError, AttributeError)):
        machine.disk.write("lambda", lambda: 0)


def test_what_a_clock_has_reserved_survives_a_crash_and_is_no_value(machine):
    assert machine.disk.reservation.until_us == 0
    machine.disk.reservation.extend(86_400_000_000)
    machine.crash()
    assert machine.disk.reservation.until_us == 86_400_000_000
    assert asyncio.run(machine.disk.load_all()) == {}
