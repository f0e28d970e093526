"""Authenticated frames between processes over TCP: how nodes on Ray talk to each other and to the driver.

A connection begins with a mutual challenge and response (HMAC-SHA256 over both sides' nonces, with a key that Ray
carried to every process of the run). Until it has succeeded no byte is decoded, at most `HELLO_BYTES` are
accepted, and `HANDSHAKE_SECONDS` are allowed. Where too many have connected without a proof, the oldest goes: a
peer's proof is there within milliseconds, and a peer that had to go all the same tries again. After the handshake
each frame is a length and a pickle; too long a frame, or half a frame followed by silence, ends the connection.
"""

from __future__ import annotations

import asyncio
import hmac
import pickle
import secrets
import struct
from asyncio.tasks import _unregister_task
from collections.abc import Callable
from itertools import count
from typing import Any

MAGIC = b"labkit/1"
NONCE_BYTES = 32
NAME_BYTES = 64
HELLO_BYTES = NAME_BYTES + NONCE_BYTES + 32
HANDSHAKE_SECONDS = 2.0
HALF_FRAME_SECONDS = 5.0
FRAME_LIMIT = 8 * 1024 * 1024
STRANGERS_LIMIT = 64
"""How many may be connected without a proof at once, beside the peers that are expected."""
RETRY_SECONDS = 0.01
CLOSING_SECONDS = 2.0
BACKLOG = 1024
"""Connections that may wait to be accepted: where there is no room, the system keeps a peer waiting for a second."""
BACKLOG_LIMIT = 64 * 1024 * 1024
_LENGTH = struct.Struct("<I")

Address = tuple[str, int]


class Wire:
    """One process's end of all its connections: one a pair of processes, opened when first needed.

    `on_message(source, value)` is called for each frame; `on_lost(name)` when a peer's connection has ended;
    `on_unreadable(source, error)` for a frame whose value cannot be made again. What is sent to a peer that cannot be
    reached is lost, as on any network; so is what is sent to one that has long stopped reading, but for `needed`.
    `peers` is how many may connect at once.

    `turned_away` counts strangers that had to make room for others, `retried` the connections to peers that were
    broken off before they began.
    """

    def __init__(
        self,
        name: str,
        key: bytes,
        on_message: Callable[[str, Any], None],
        on_lost: Callable[[str], None] = lambda name: None,
        on_unreadable: Callable[[str, Exception], None] | None = None,
        peers: int = 0,
    ):
        self.name = name
        self.key = key
        self.on_message = on_message
        self.addresses: dict[str, Address] = {}
        self._crowd: dict[_Connection, None] = {}  # who has proved nothing yet, the oldest first
        self.refused = 0
        self.turned_away = 0
        self.retried = 0
        self.needed = ""
        self.on_unreadable = on_unreadable
        self._strangers_limit = STRANGERS_LIMIT + peers
        self._on_lost = on_lost
        self._connections: dict[str, _Connection] = {}
        self._waiting: dict[str, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def strangers(self) -> int:
        """How many are connected who have proved nothing yet."""
        return len(self._crowd)

    async def listen(self, host: str = "127.0.0.1") -> Address:
        """Accept connections on a free port of `host`; returns the address."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, None), host, 0, backlog=BACKLOG)
        return self._server.sockets[0].getsockname()[:2]

    def send(self, target: str, value: Any) -> None:
        """Send `value` to the process called `target`; raises `ValueError` if it does not fit a frame."""
        self.send_frame(target, frame(value))

    def send_frame(self, target: str, frame: bytes) -> None:
        """Send what `frame` made."""
        connection = self._connections.get(target)
        if connection is not None:
            connection.write(frame)
        elif target in self._waiting:
            self._waiting[target].append(frame)
        elif target in self.addresses:
            self._waiting[target] = [frame]
            task = asyncio.get_running_loop().create_task(self._connect(target))
            _unregister_task(task)  # `asyncio.all_tasks` is for the node's own
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def forget(self, name: str) -> None:
        """Drop the connection to a peer that has died or moved."""
        connection = self._connections.pop(name, None)
        if connection is not None:
            connection.abort()

    async def close(self) -> None:
        """Close every connection, after what was written to it has left, and stop listening.

        Takes at most `CLOSING_SECONDS`: a peer that does not read may miss the end.
        """
        connections = list(self._connections.values())
        for connection in connections:
            connection.finish()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                for connection in connections:
                    await connection.over.wait()
        except TimeoutError:
            pass

    async def _connect(self, target: str) -> None:
        host, port = self.addresses[target]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                for tries in count():
                    _, connection = await loop.create_connection(lambda: _Connection(self, target), host, port)
                    try:
                        await connection.authenticated
                        self.retried += tries  # of those that ended well: a peer that has died is another matter
                        break
                    except ConnectionError:  # it listens, and had no room: a crowd is at its port
                        await asyncio.sleep(RETRY_SECONDS)
        except (OSError, TimeoutError):
            pass  # what waited is lost: the caller's own timeout will tell it
        for frame in self._waiting.pop(target, ()):
            if target in self._connections:
                self._connections[target].write(frame)

    def arrived(self, connection: _Connection) -> None:
        """Somebody has connected who has proved nothing yet."""
        self._crowd[connection] = None
        if len(self._crowd) > self._strangers_limit:
            self.turned_away += 1
            oldest = next(iter(self._crowd))
            del self._crowd[oldest]
            oldest.abort()

    def recognised(self, connection: _Connection) -> None:
        """A connection is no stranger's any more, or no connection."""
        self._crowd.pop(connection, None)

    def joined(self, connection: _Connection) -> None:
        """A connection has proved who it is with."""
        # When both sides connect at once there are two; each side may use either, and both are read.
        self._connections.setdefault(connection.peer, connection)

    def left(self, connection: _Connection) -> None:
        """A connection has ended."""
        if self._connections.get(connection.peer) is connection:
            del self._connections[connection.peer]
            self._on_lost(connection.peer)


def frame(value: Any, what: str = "a message") -> bytes:
    """`value` as it travels: its length, then its pickle. Raises `ValueError` above `FRAME_LIMIT`."""
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    if len(body) > FRAME_LIMIT:
        raise ValueError(f"{what} has {len(body)} bytes: at most {FRAME_LIMIT} can be sent")
    return _LENGTH.pack(len(body)) + body


class _Connection(asyncio.Protocol):
    """One TCP connection: the handshake, then frames. `target` is None on the side that accepted."""

    def __init__(self, wire: Wire, target: str | None):
        self._wire = wire
        self._target = target
        self.peer = target or ""
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._buffer = bytearray()
        self._trusted = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.over = asyncio.Event()
        self.authenticated: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._give(HANDSHAKE_SECONDS)
        if self._target is None:
            self._wire.arrived(self)
            transport.write(MAGIC + self._nonce)

    def connection_lost(self, error: Exception | None) -> None:
        self.over.set()
        self._give(None)
        self._wire.recognised(self)
        if not self._trusted:
            self._wire.refused += 1
        if not self.authenticated.done():
            self.authenticated.set_exception(ConnectionError(f"{self.peer or 'a stranger'} did not authenticate"))
            self.authenticated.exception()  # fetched here, so that nobody need await it
        if self._trusted:
            self._wire.left(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._trusted:
            self._read_frames()
        elif self._target is None:
            self._read_hello()
        else:
            self._read_challenge()

    def write(self, frame: bytes) -> None:
        """Send a frame, unless the peer has long stopped reading and may miss it."""
        if self._transport is not None and (
            self._transport.get_write_buffer_size() < BACKLOG_LIMIT or self.peer == self._wire.needed
        ):
            self._transport.write(frame)

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """Close once everything written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def _read_hello(self) -> None:
        # Accepting side: name, nonce and proof of the connecting side, then our proof.
        if len(self._buffer) < HELLO_BYTES:
            return
        hello, rest = bytes(self._buffer[:HELLO_BYTES]), self._buffer[HELLO_BYTES:]
        name, nonce = hello[:NAME_BYTES], hello[NAME_BYTES : NAME_BYTES + NONCE_BYTES]
        if not hmac.compare_digest(hello[-32:], self._proof(b"connect", self._nonce, nonce, name)):
            self.abort()
            return
        self._transport.write(self._proof(b"accept", self._nonce, nonce, name))
        self._wire.recognised(self)
        self._trust(name.rstrip(b"\0").decode(), rest)

    def _read_challenge(self) -> None:
        # Connecting side: the challenge first, then the accepting side's proof.
        name = self._wire.name.encode().ljust(NAME_BYTES, b"\0")
        challenge_bytes = len(MAGIC) + NONCE_BYTES
        if len(self._buffer) < challenge_bytes:
            return
        theirs = bytes(self._buffer[len(MAGIC) : challenge_bytes])
        if not self._buffer.startswith(MAGIC):
            self.abort()
        elif len(self._buffer) == challenge_bytes:
            self._transport.write(name + self._nonce + self._proof(b"connect", theirs, self._nonce, name))
        elif len(self._buffer) >= challenge_bytes + 32:
            proof, rest = self._buffer[challenge_bytes:][:32], self._buffer[challenge_bytes + 32 :]
            if hmac.compare_digest(bytes(proof), self._proof(b"accept", theirs, self._nonce, name)):
                self._trust(self._target or "", rest)
            else:
                self.abort()

    def _proof(self, role: bytes, accepting: bytes, connecting: bytes, name: bytes) -> bytes:
        return hmac.digest(self._wire.key, role + accepting + connecting + name, "sha256")

    def _trust(self, peer: str, rest: bytearray) -> None:
        self.peer, self._trusted, self._buffer = peer, True, bytearray(rest)
        self._give(None)
        self._wire.joined(self)
        self.authenticated.set_result(None)
        self._read_frames()

    def _read_frames(self) -> None:
        buffer, start = self._buffer, 0
        while len(buffer) - start >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(buffer, start)
            if size > FRAME_LIMIT:
                self.abort()
                return
            end = start + _LENGTH.size + size
            if len(buffer) < end:
                break
            try:
                value = pickle.loads(memoryview(buffer)[start + _LENGTH.size : end])
            except Exception as error:  # of the value's own class; the frame was whole, and the next one is, too
                if self._wire.on_unreadable is None:
                    raise
                self._wire.on_unreadable(self.peer, error)
            else:
                self._wire.on_message(self.peer, value)
            start = end
        self._buffer = buffer[start:] if start else buffer
        self._give(HALF_FRAME_SECONDS if self._buffer else None)

    def _give(self, seconds: float | None) -> None:
        # The time that the peer has for what it has begun.
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)
