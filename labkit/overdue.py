"""A bound on how long code may compute that nobody has tried before: a reader's own, which may loop for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

AGAIN = 0.05
"""Seconds until it is told once more, should an ``except`` clause have swallowed the first time."""


class Overdue(KeyboardInterrupt):
    """The time is up. As an interrupt it goes through tasks and loops, and leaves a simulation as Ctrl-C does."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `Overdue` in the ``with`` block, in whatever line it is, once it has taken so long.

    A call that does not return to Python, such as a long ``time.sleep``, is interrupted when it does. Where no thread
    can be started, as in a browser, there is no bound.
    """
    watch = _Watch(threading.get_ident(), seconds)
    try:
        try:
            yield
        finally:
            watch.stop()
    except Overdue:
        watch.stop()  # the first may have been cut short
        raise Overdue(f"it was still computing after {seconds:g} s") from None


class _Watch:
    """Waits in a thread of its own, and then interrupts the one that it watches, until it is stopped.

    Plain locks alone: they cannot be interrupted while they are half taken, as an event can.
    """

    def __init__(self, watched: int, seconds: float):
        self._watched, self._seconds = watched, seconds
        self._stopped = False
        self._striking, self._watching = threading.Lock(), threading.Lock()
        self._watching.acquire()
        thread = threading.Thread(target=self._wait, name="overdue", daemon=True)
        with suppress(RuntimeError):  # no threads here
            thread.start()
        self._can_strike = thread.is_alive()

    def stop(self) -> None:
        """Interrupt it no more; an interrupt that is set and has not struck yet is taken back."""
        self._stopped = True
        with self._striking:  # from here on none can be set
            if self._can_strike:
                _set_interrupt(self._watched, None)
        with suppress(RuntimeError):  # it had been stopped
            self._watching.release()

    def _wait(self) -> None:
        pause = self._seconds
        while not self._watching.acquire(timeout=pause):
            with self._striking:
                if not self._stopped:
                    _set_interrupt(self._watched, Overdue)
            pause = AGAIN


def _set_interrupt(thread: int, kind: type[BaseException] | None) -> None:
    import ctypes  # where there are threads, there is this

    kind_or_nothing: Any = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind_or_nothing)
