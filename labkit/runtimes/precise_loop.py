"""An asyncio loop whose timers are good to some tens of microseconds.

epoll waits in whole milliseconds, so asyncio rounds every timer up by as much as one; a delayed message of 0.6 ms
would arrive after 1 ms. Here the next timer is a Linux timerfd, which wakes epoll to the microsecond. Other systems
keep their own selector (kqueue is precise already).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import selectors
import sys
from typing import Any

_CLOCK_MONOTONIC = 1


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_ = [("interval", _TimeSpec), ("value", _TimeSpec)]


if sys.platform == "linux":

    class PreciseSelector(selectors.EpollSelector):
        """epoll with a timerfd for its timeout."""

        def __init__(self) -> None:
            super().__init__()
            # Python has os.timerfd_create from 3.13 on; 3.11 and 3.12 need the C library's.
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._timer = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
            if self._timer < 0:
                raise OSError(ctypes.get_errno(), "timerfd_create")
            # Edge-triggered: an expiry that came too late to matter wakes the loop once, not for ever.
            self._selector.register(self._timer, select.EPOLLIN | select.EPOLLET)
            self._spec = _TimerSpec()

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Wait for a file object, or for `timeout` seconds, to the microsecond."""
            if timeout is None or timeout <= 0:
                return super().select(timeout)
            self._arm(timeout)
            return super().select(None)

        def close(self) -> None:
            """Close epoll and the timer."""
            super().close()
            os.close(self._timer)

        def _arm(self, timeout: float) -> None:
            whole = int(timeout)
            self._spec.value.seconds = whole
            self._spec.value.nanoseconds = max(int((timeout - whole) * 1e9), 1)
            self._libc.timerfd_settime(self._timer, 0, ctypes.byref(self._spec), None)

else:
    PreciseSelector = selectors.DefaultSelector


def new_precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop with precise timers; close it when done."""
    return asyncio.SelectorEventLoop(PreciseSelector())


def run_precisely(work: Any) -> Any:
    """`asyncio.run` with precise timers."""
    with asyncio.Runner(loop_factory=new_precise_loop) as runner:
        return runner.run(work)
