"""SIGTERM and SIGHUP, which end a program as Ctrl-C does: what it has started is stopped, and it says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LIKE_CTRL_C = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def like_ctrl_c() -> Iterator[Callable[[], signal.Signals]]:
    """Let SIGTERM and SIGHUP do what SIGINT does; gives a function that says which of the three came first.

    A signal that somebody handles already, or ignores (as `nohup` does), is left alone. Only the main thread may handle
    signals; elsewhere nothing is touched.
    """
    came: list[signal.Signals] = []

    def end(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number))
        usual = signal.getsignal(signal.SIGINT)
        if callable(usual):
            usual(number, frame)  # a simulation, say, puts it off to its next event
        else:
            raise KeyboardInterrupt

    taken = []
    if threading.current_thread() is threading.main_thread():
        taken = [each for each in LIKE_CTRL_C if signal.getsignal(each) is signal.SIG_DFL]
    for each in taken:
        signal.signal(each, end)
    try:
        yield lambda: came[0] if came else signal.SIGINT
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)
