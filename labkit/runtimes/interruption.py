"""Ctrl-C during a simulation, taken between two of its events."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def between_events() -> Iterator[Callable[[], None]]:
    """Put off the first SIGINT until the function that this gives is called, which then raises `KeyboardInterrupt`.

    An interrupt that strikes between the making of a coroutine and its first step leaves it unawaited, and Python
    says so at length. A second SIGINT strikes at once, as in `asyncio.Runner`: node code may loop for ever. Only
    Python's own handler is replaced, and only the main thread may do so; elsewhere the function does nothing.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    check()  # a short run may end before it is asked
