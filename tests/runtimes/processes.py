"""Watching and ending real processes in tests, always by pid and always with a bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import psutil

BOUND_SECONDS = 30.0


def wait_until(condition: Callable[[], bool], what: str, bound: float = BOUND_SECONDS) -> None:
    """Return as soon as `condition()` holds; fail after `bound` seconds."""
    end = time.monotonic() + bound
    never = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {bound:g} seconds"
        never.wait(0.02)


def running(pids: Iterable[int]) -> list[int]:
    """Which of the pids are still processes that run (a zombie does not)."""
    return [pid for pid in pids if _runs(pid)]


def descendants() -> set[int]:
    """Every process that this one has started, or that those have."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
