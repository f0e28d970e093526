"""What this machine, or the container on it, lets one process use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_CONTROL_GROUPS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """How many cores this process may use: of the machine, by its affinity, and by its container's quota.

    A quota counts in whole cores, rounded up: 1.5 cores let two threads make progress.
    """
    counts = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    counts += [max(math.ceil(quota), 1) for quota in _quotas()]
    return min(counts)


def available_bytes() -> int | None:
    """Memory that could still be taken, by the machine's count and by the container's limit; None if unknown."""
    known = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        known.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):
        limit = int((CONTROL_GROUPS / "memory.max").read_text())  # "max", which is no number, means that there is none
        known.append(limit - int((CONTROL_GROUPS / "memory.current").read_text()))
    return min(known, default=None)


def _quotas() -> Iterator[float]:
    # A limit may be set on the group itself or on any group around it; the least of them holds.
    for folder in _groups_with_cpu():
        with suppress(OSError, ValueError):  # version 2: "150000 100000", or "max 100000" without a limit
            quota, period = (folder / "cpu.max").read_text().split()
            yield int(quota) / int(period)
        with suppress(OSError, ValueError, ZeroDivisionError):  # version 1: -1 without a limit
            quota = int((folder / "cpu.cfs_quota_us").read_text())
            if quota > 0:
                yield quota / int((folder / "cpu.cfs_period_us").read_text())


def _groups_with_cpu() -> Iterator[Path]:
    with suppress(OSError):
        for line in OWN_CONTROL_GROUPS.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                top = CONTROL_GROUPS
            elif "cpu" in controllers.split(","):
                top = CONTROL_GROUPS / controllers
                top = top if top.is_dir() else CONTROL_GROUPS / "cpu"
            else:
                continue
            # Within a container the path may be the host's; the group that is mounted at the top is then our own.
            parts = [part for part in path.split("/") if part not in ("", "..")]
            for length in range(len(parts) + 1):
                yield top.joinpath(*parts[:length])
