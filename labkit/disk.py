"""A node's disk: what was synced survives a crash, what was only written does not."""

from __future__ import annotations

import asyncio
import os
import pickle
import struct
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labkit.clocks import Reservation
from labkit.copying import snapshot

_HEADER = struct.Struct("<II")
_READING = struct.Struct("<q")


class Disk:
    """Values by name, which is anything hashable.

    `write` is quick and volatile, `sync` makes all written so far durable, `save` does both.
    """

    reservation: Reservation
    """Kept apart from all other values, and durable at once."""

    def __init__(self) -> None:
        self._unsynced: dict[Any, Any] = {}
        self._syncing: dict[int, dict[Any, Any]] = {}

    async def load(self, name: Any, default: Any = None) -> Any:
        """The latest value written under `name`, or `default`."""
        for writes in (self._unsynced, *reversed(self._syncing.values())):
            if name in writes:
                return snapshot(writes[name])
        return snapshot(self._all_durable().get(name, default))

    async def load_all(self) -> dict[Any, Any]:
        """Everything ever written, by name."""
        found = dict(self._all_durable())
        for writes in (*self._syncing.values(), self._unsynced):
            found.update(writes)
        return snapshot(found)

    def write(self, name: Any, value: Any) -> None:
        """Set `name`, in memory: a crash before the next `sync` loses it."""
        self._unsynced[name] = snapshot(value)

    async def sync(self) -> None:
        """Return once everything written before is durable."""
        # With nothing new to write, what another task is syncing must be waited for: syncs end in order.
        if not (self._unsynced or self._syncing):
            return
        writes, self._unsynced = self._unsynced, {}
        self._syncing[id(writes)] = writes
        try:
            await self._make_durable(writes)
        except BaseException:  # cancelled: the writes are as unsynced as before
            self._unsynced = {**writes, **self._unsynced}
            raise
        finally:
            del self._syncing[id(writes)]

    async def save(self, name: Any, value: Any) -> None:
        """Write and sync: once this returns, no crash loses the value."""
        self.write(name, value)
        await self.sync()

    def _all_durable(self) -> dict[Any, Any]:
        return {}

    async def _make_durable(self, writes: dict[Any, Any]) -> None:
        """Return once `writes` would survive a crash."""


class Platter(dict[Any, Any]):
    """What outlives a simulated node: its durable values, by name, and what its hybrid clock has reserved."""

    def __init__(self) -> None:
        super().__init__()
        self.reservation = Reservation()


class SimulatedDisk(Disk):
    """The simulator's disk: `platter` outlives the node's incarnations; a sync takes `sync_delay` seconds."""

    def __init__(self, platter: Platter, sync_delay: float = 0.0):
        super().__init__()
        self._platter = platter
        self._sync_delay = sync_delay
        self.reservation = platter.reservation

    def _all_durable(self) -> dict[Any, Any]:
        return self._platter

    async def _make_durable(self, writes: dict[Any, Any]) -> None:
        if self._sync_delay:
            await asyncio.sleep(self._sync_delay)
        self._platter.update(writes)


class FileDisk(Disk):
    """A real file: an append-only log of records with checksums, fsynced on `sync`.

    A record that a crash cut short fails its checksum and ends the replay: it was never synced, so nothing that
    was promised is lost. Unsynced writes stay in the process, so that a SIGKILL loses them as a power cut would.
    """

    def __init__(self, path: Path):
        super().__init__()
        self._values, length = _replay(path)
        self.reservation = _FileReservation(path.with_suffix(".clock"))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, length)
        os.lseek(self._file, length, os.SEEK_SET)
        # One thread: syncs stay in order, and the event loop goes on while the disk works.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="disk")

    def close(self) -> None:
        """Wait for the sync under way and close the file."""
        self._writer.shutdown()
        os.close(self._file)
        self.reservation.close()

    def _all_durable(self) -> dict[Any, Any]:
        return self._values

    async def _make_durable(self, writes: dict[Any, Any]) -> None:
        await self._in_writer(lambda: self._append(writes))
        self._values.update(writes)

    async def _in_writer(self, work: Callable[[], None]) -> None:
        done: Awaitable[None] = asyncio.get_running_loop().run_in_executor(self._writer, work)
        await done

    def _append(self, writes: dict[Any, Any]) -> None:
        body = pickle.dumps(writes, pickle.HIGHEST_PROTOCOL)
        record = _HEADER.pack(len(body), zlib.crc32(body)) + body
        while record:
            record = record[os.write(self._file, record) :]
        os.fsync(self._file)


class _FileReservation(Reservation):
    """A small file of its own; as few bytes as this a disk writes whole or not at all."""

    def __init__(self, path: Path):
        super().__init__()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        kept = os.pread(self._file, _READING.size, 0)
        if len(kept) == _READING.size:
            (self.until_us,) = _READING.unpack(kept)

    def extend(self, until_us: int) -> None:
        super().extend(until_us)
        os.pwrite(self._file, _READING.pack(until_us), 0)
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _replay(path: Path) -> tuple[dict[Any, Any], int]:
    values: dict[Any, Any] = {}
    log = path.read_bytes() if path.exists() else b""
    position = 0
    while position + _HEADER.size <= len(log):
        size, checksum = _HEADER.unpack_from(log, position)
        body = log[position + _HEADER.size : position + _HEADER.size + size]
        if len(body) < size or zlib.crc32(body) != checksum:
            break
        values.update(pickle.loads(body))
        position += _HEADER.size + size
    return values, position
