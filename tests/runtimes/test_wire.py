"""The node's port against everybody who is not a node: nothing a stranger sends is decoded, or waited for."""

from __future__ import annotations

import asyncio
import pickle
import secrets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.runtimes import wire as wire_module
from labkit.runtimes.precise_loop import run_precisely
from labkit.runtimes.wire import FRAME_LIMIT, HELLO_BYTES, MAGIC, STRANGERS_LIMIT, Wire

KEY = secrets.token_bytes(32)
BOUND = 5.0


class Trap:
    """Unpickling it is the one thing that must never happen."""

    sprung = False

    def __reduce__(self) -> Any:
        return (_spring, ())


def _spring() -> None:
    Trap.sprung = True


@asynccontextmanager
async def listening(received: list[Any], key: bytes = KEY) -> AsyncIterator[Wire]:
    wire = Wire("node", key, lambda source, value: received.append((source, value)))
    wire.addresses["node"] = await wire.listen()
    try:
        yield wire
    finally:
        await wire.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND):
        while not condition():
            await asyncio.sleep(0.005)


async def is_hung_up_on(wire: Wire, say: bytes) -> bytes:
    """Connect, say something, and return all that the node says before it hangs up (which it must)."""
    reader, writer = await asyncio.open_connection(*wire.addresses["node"])
    writer.write(say)
    try:
        async with asyncio.timeout(BOUND):
            with suppress(ConnectionResetError):
                return await reader.read(-1)
            return b""
    finally:
        writer.close()


def run(work: Callable[[], Awaitable[None]]) -> None:
    run_precisely(work())


def test_peers_with_the_key_exchange_values_in_order() -> None:
    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            peer = Wire("peer", KEY, lambda source, value: None)
            peer.addresses.update(node.addresses)
            values = [("text", 1, None), {"nested": [1.5, b"bytes"]}, "x" * 100_000]
            for value in values:
                peer.send("node", value)
            await until(lambda: len(received) == len(values))
            assert received == [("peer", value) for value in values]
            await peer.close()

    run(work)


def test_one_connection_serves_both_directions() -> None:
    async def work() -> None:
        back: list[Any] = []
        received: list[Any] = []
        async with listening(received) as node:
            peer = Wire("peer", KEY, lambda source, value: back.append((source, value)))
            peer.addresses.update(node.addresses)
            peer.send("node", "there")
            await until(lambda: bool(received))
            node.send("peer", "and back")  # it knows no address of the peer's
            await until(lambda: bool(back))
            assert back == [("node", "and back")]
            await peer.close()

    run(work)


@pytest.mark.parametrize(
    "say",
    [
        secrets.token_bytes(HELLO_BYTES),
        b"GET / HTTP/1.1\r\nHost: node\r\n\r\n".ljust(HELLO_BYTES, b" "),
        b"\0" * (HELLO_BYTES * 100),
        struct.pack("<I", 2**32 - 1) + pickle.dumps(Trap()) * 20,
        b"peer".ljust(64, b"\0") + secrets.token_bytes(64) + pickle.dumps(Trap()),
    ],
    ids=["noise", "http", "zeros", "a long frame", "a pickle behind a wrong proof"],
)
def test_a_stranger_is_hung_up_on_and_nothing_of_it_is_decoded(say: bytes) -> None:
    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            heard = await is_hung_up_on(node, say)
            assert heard in (b"", heard[: len(MAGIC) + 32])  # the challenge, and no proof
            assert not received and not Trap.sprung and not node._connections

    run(work)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_that_a_stranger_can_think_of_get_through(say: bytes) -> None:
    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            reader, writer = await asyncio.open_connection(*node.addresses["node"])
            writer.write(say)
            writer.write_eof()
            async with asyncio.timeout(BOUND):
                with suppress(ConnectionResetError):
                    assert len(await reader.read(-1)) <= len(MAGIC) + 32
            writer.close()
            await until(lambda: node.strangers == 0)
            assert not received and not node._connections

    run(work)


def test_the_wrong_key_gets_nowhere_in_either_direction() -> None:
    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            impostor = Wire("peer", secrets.token_bytes(32), lambda source, value: received.append(value))
            impostor.addresses.update(node.addresses)
            impostor.send("node", "let me in")
            await until(lambda: node.refused >= 1 and impostor.refused >= 1)
            assert not received and not node._connections and not impostor._connections
            await impostor.close()

    run(work)


def test_a_recorded_hello_cannot_be_replayed() -> None:
    """The proof covers the challenge, which is new for every connection."""

    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            said: list[bytes] = []

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                inner_reader, inner_writer = await asyncio.open_connection(*node.addresses["node"])
                writer.write(await inner_reader.readexactly(len(MAGIC) + 32))
                said.append(await reader.readexactly(HELLO_BYTES))
                inner_writer.write(said[0])
                writer.write(await inner_reader.readexactly(32))
                writer.close()
                inner_writer.close()

            server = await asyncio.start_server(relay, "127.0.0.1", 0)
            peer = Wire("peer", KEY, lambda source, value: None)
            peer.addresses["node"] = server.sockets[0].getsockname()[:2]
            peer.send("node", "overheard")
            await until(lambda: bool(said))
            heard = await is_hung_up_on(node, said[0])
            assert len(heard) == len(MAGIC) + 32
            server.close()
            await peer.close()

    run(work)


def test_a_silent_stranger_and_a_half_frame_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "HANDSHAKE_SECONDS", 0.1)
    monkeypatch.setattr(wire_module, "HALF_FRAME_SECONDS", 0.1)

    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            assert await is_hung_up_on(node, b"") != b""  # it got the challenge, kept silent, and was left
            peer = Wire("peer", KEY, lambda source, value: None)
            peer.addresses.update(node.addresses)
            peer.send("node", "whole")
            await until(lambda: len(received) == 1)
            peer._connections["node"].write(struct.pack("<I", 1000) + b"half")
            await until(lambda: not node._connections)
            assert len(received) == 1
            await peer.close()

    run(work)


def test_a_frame_over_the_limit_ends_the_connection_before_it_is_read() -> None:
    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            peer = Wire("peer", KEY, lambda source, value: None)
            peer.addresses.update(node.addresses)
            peer.send("node", "small")
            await until(lambda: len(received) == 1)
            peer._connections["node"].write(struct.pack("<I", FRAME_LIMIT + 1))
            await until(lambda: not node._connections)
            with pytest.raises(ValueError, match=str(FRAME_LIMIT)):
                peer.send("node", b"x" * (FRAME_LIMIT + 1))
            await peer.close()

    run(work)


def test_a_crowd_of_strangers_does_not_keep_a_peer_out() -> None:
    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            crowd = [await asyncio.open_connection(*node.addresses["node"]) for _ in range(STRANGERS_LIMIT - 1)]
            peer = Wire("peer", KEY, lambda source, value: None)
            peer.addresses.update(node.addresses)
            peer.send("node", "excuse me")
            await until(lambda: received == [("peer", "excuse me")])
            assert node.strangers < STRANGERS_LIMIT
            for _, writer in crowd:
                writer.close()
            await peer.close()

    run(work)


def test_among_too_many_strangers_the_oldest_goes_and_never_a_peer() -> None:
    """Each of them is silent: none has broken a rule yet, and the newest may be a peer about to prove itself."""

    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            crowd = [await asyncio.open_connection(*node.addresses["node"]) for _ in range(STRANGERS_LIMIT)]
            await until(lambda: node.strangers == STRANGERS_LIMIT)
            for number in range(3):
                peer = Wire(f"peer-{number}", KEY, lambda source, value: None)
                peer.addresses.update(node.addresses)
                peer.send("node", number)
                await until(lambda number=number: len(received) == number + 1)
                assert peer.retried == 0
                await peer.close()
            async with asyncio.timeout(BOUND):
                assert len(await crowd[0][0].read(-1)) == len(MAGIC) + 32  # hung up on, after the challenge
            assert 1 <= node.turned_away <= 3
            for _, writer in crowd:
                writer.close()

    run(work)


def test_as_many_peers_as_are_expected_may_connect_at_once() -> None:
    async def work() -> None:
        received: list[Any] = []
        count = STRANGERS_LIMIT + 20
        node = Wire("node", KEY, lambda source, value: received.append(value), peers=count)
        address = await node.listen()
        peers = [Wire(f"peer-{number}", KEY, lambda source, value: None) for number in range(count)]
        for number, peer in enumerate(peers):
            peer.addresses["node"] = address
            peer.send("node", number)
        await until(lambda: len(received) == count)
        assert sorted(received) == list(range(count)) and node.turned_away == 0
        await node.close()
        for peer in peers:
            await peer.close()

    run(work)


def test_a_peer_that_had_to_make_room_tries_again_and_counts_it() -> None:
    async def work() -> None:
        received: list[Any] = []
        async with listening(received) as node:
            hung_up_on = 0

            async def crowded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal hung_up_on
                if hung_up_on < 2:
                    hung_up_on += 1
                    return writer.close()
                inner_reader, inner_writer = await asyncio.open_connection(*node.addresses["node"])
                writer.write(await inner_reader.readexactly(len(MAGIC) + 32))
                inner_writer.write(await reader.readexactly(HELLO_BYTES))
                writer.write(await inner_reader.readexactly(32))
                inner_writer.write(await reader.read(1000))
                inner_writer.close()
                writer.close()

            server = await asyncio.start_server(crowded, "127.0.0.1", 0)
            peer = Wire("peer", KEY, lambda source, value: None)
            peer.addresses["node"] = server.sockets[0].getsockname()[:2]
            peer.send("node", "at last")
            await until(lambda: received == [("peer", "at last")])
            assert (hung_up_on, peer.retried) == (2, 2)
            await peer.close()
            server.close()

    run(work)


def test_a_value_that_cannot_be_made_again_ends_no_connection() -> None:
    async def work() -> None:
        received: list[Any] = []
        unreadable: list[tuple[str, str]] = []
        async with listening(received) as node:
            node.on_unreadable = lambda source, error: unreadable.append((source, str(error)))
            peer = Wire("peer", KEY, lambda source, value: None)
            peer.addresses.update(node.addresses)
            for value in ("before", Unmakeable(1, 2), "after"):
                peer.send("node", value)
            await until(lambda: len(received) == 2)
            assert [value for _, value in received] == ["before", "after"]
            ((source, why),) = unreadable
            assert source == "peer" and "missing 1 required positional argument" in why
            await peer.close()

    run(work)


class Unmakeable(Exception):
    """Can be pickled, and not made again."""

    def __init__(self, first: int, second: int):
        super().__init__(first)
