"""Where the kernel attends to a figure's messages: runs on real processes belong to the main thread."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest

from labkit.live import widget

MEASURE = {"kind": "measure", "id": 1}


@pytest.fixture
def attended(monkeypatch) -> list[tuple[threading.Thread, Any]]:
    """In which thread each message was attended to, and who would have handled SIGINT meanwhile."""
    found: list[tuple[threading.Thread, Any]] = []
    monkeypatch.setattr(
        widget, "attend", lambda *_: found.append((threading.current_thread(), signal.getsignal(signal.SIGINT)))
    )
    return found


def test_a_measurement_asked_for_in_another_thread_runs_in_the_kernels(attended) -> None:
    async def kernel() -> None:
        loop = asyncio.get_running_loop()
        beside = threading.Thread(target=widget.receive, args=(MEASURE, print, loop))
        beside.start()
        beside.join(timeout=10)
        assert not attended  # it waits until the kernel is free
        await asyncio.sleep(0)

    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as between two cells
    try:
        asyncio.run(kernel())
        assert attended == [(threading.main_thread(), signal.default_int_handler)]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, usual)


def test_a_simulation_is_answered_in_whatever_thread_asks(attended) -> None:
    beside = threading.Thread(target=widget.receive, args=({"kind": "answer", "id": 1}, print, None))
    beside.start()
    beside.join(timeout=10)
    assert [thread for thread, _ in attended] == [beside]


def test_the_stop_button_ends_a_measurement_with_a_sentence(monkeypatch) -> None:
    def interrupted(*_: Any) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "never told"

    monkeypatch.setattr(widget, "_measure", interrupted)
    said: list[dict] = []
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        widget.receive(MEASURE, said.append, None)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert said == [{"id": 1, "error": widget.STOPPED}]
