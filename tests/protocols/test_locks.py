"""Two-phase locking: exclusion, order, and both remedies for deadlock, by the rules of their papers."""

from __future__ import annotations

import asyncio

import pytest

from labkit.protocols.locks import DIED, TOOK_TOO_LONG, WITHDRAWN, LockTable, NotGranted
from tests.clusters import simulate_work


def in_simulation(work):
    async def run(node):
        await work(node)

    return simulate_work(run)


def test_a_lock_has_one_holder_and_passes_on_in_the_order_of_asking():
    async def work(node):
        locks, order = LockTable("timeout"), []

        async def use(name):
            await locks.acquire(name, (0, name), "seat")
            order.append(name)
            assert locks.holder("seat") == name
            await asyncio.sleep(0.1)
            locks.release(name, "seat")

        await asyncio.gather(*(use(name) for name in "abc"))
        assert order == ["a", "b", "c"]
        assert locks.holder("seat") is None
        assert node.clock.now() == pytest.approx(0.3)

    in_simulation(work)


def test_the_older_waits_and_the_younger_dies():
    """Rosenkrantz, Stearns and Lewis, section 3: wait-die never lets a transaction wait for an older one."""

    async def work(node):
        locks = LockTable("wait-die")
        await locks.acquire("middle", (5, ""), "seat")
        with pytest.raises(NotGranted, match=DIED):
            await locks.acquire("young", (9, ""), "seat")
        waiting = asyncio.ensure_future(locks.acquire("old", (1, ""), "seat"))
        await asyncio.sleep(0.01)
        # It would have to wait for `old` as well, which stands ahead of it.
        with pytest.raises(NotGranted, match=DIED):
            await locks.acquire("older than the holder", (3, ""), "seat")
        locks.release("middle", "seat")
        await waiting
        assert locks.holder("seat") == "old"

    in_simulation(work)


@pytest.mark.parametrize("policy", ["wait-die", "timeout"])
def test_two_that_lock_two_keys_in_opposite_order_do_not_wait_for_ever(policy):
    async def work(node):
        locks, ended = LockTable(policy, patience=0.5), []

        async def transaction(name, age, first, second):
            held = []
            try:
                for key in (first, second):
                    await locks.acquire(name, (age, name), key)
                    held.append(key)
                    await asyncio.sleep(0.1)
                ended.append((name, "done"))
            except NotGranted as refused:
                ended.append((name, str(refused)))
            for key in held:
                locks.release(name, key)

        async with asyncio.timeout(5):
            await asyncio.gather(transaction("a", 1, "x", "y"), transaction("b", 2, "y", "x"))
        assert ended[-1][1] == "done"
        assert ended[0][1] in (DIED, TOOK_TOO_LONG)
        if policy == "wait-die":
            assert ended == [("b", DIED), ("a", "done")]  # the younger gives way, and at once

    in_simulation(work)


def test_no_policy_and_no_patience_is_a_deadlock():
    """The remedy is what ends it: with neither, the two of the test above wait for each other."""

    async def work(node):
        locks = LockTable("timeout", patience=None)
        await locks.acquire("a", (1, ""), "x")
        await locks.acquire("b", (2, ""), "y")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.gather(locks.acquire("a", (1, ""), "y"), locks.acquire("b", (2, ""), "x"))

    in_simulation(work)


def test_who_is_released_while_waiting_is_told_so_and_those_behind_move_up():
    async def work(node):
        locks = LockTable("timeout")
        await locks.acquire("a", (1, ""), "x")
        waiting = [asyncio.ensure_future(locks.acquire(name, (2, ""), "x")) for name in ("b", "c")]
        await asyncio.sleep(0.01)
        locks.release("b", "x")
        with pytest.raises(NotGranted, match=WITHDRAWN):
            await waiting[0]
        locks.release("nobody", "x")
        locks.release("a", "x")
        await waiting[1]
        assert locks.holder("x") == "c"

    in_simulation(work)


def test_a_reader_that_waits_for_a_free_key_comes_after_all_that_were_waiting():
    async def work(node):
        locks = LockTable("timeout")
        await locks.acquire("a", (1, ""), "x")

        async def writer():
            await locks.acquire("b", (2, ""), "x")
            await asyncio.sleep(0.2)
            locks.release("b", "x")

        writing = asyncio.ensure_future(writer())
        reading = asyncio.ensure_future(locks.free("x"))
        await asyncio.sleep(0.1)
        assert not reading.done()
        locks.release("a", "x")
        await asyncio.sleep(0.1)
        assert not reading.done()
        await reading
        assert node.clock.now() == pytest.approx(0.3)
        await writing
        await locks.free("x")  # of a key that nobody holds: at once

    in_simulation(work)
