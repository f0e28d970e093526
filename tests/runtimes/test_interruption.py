"""Ctrl-C ends a simulation between two events, is never lost, and strikes at once when repeated."""

from __future__ import annotations

import os
import signal
import threading
import warnings

import pytest

from labkit import ClockError, Node, run
from labkit.cluster import Cluster
from labkit.host import NodeSpec
from labkit.runtimes import simulated
from labkit.runtimes.interruption import between_events


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_run_leaves_no_coroutine_unawaited_and_restores_the_handler() -> None:
    seen: list[int] = []

    def once(ended: int) -> None:
        seen.append(ended)
        if len(seen) == 3:
            interrupt()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyboardInterrupt):
            run("quorums", pairs=100_000, progress=once)
    assert len(seen) <= 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_during_the_last_events_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), between_events():
        interrupt()


class Stubborn(Node):
    """A client that never gives control back."""

    async def run(self) -> None:
        interrupt()
        while True:
            interrupt()


def test_a_second_interrupt_strikes_node_code_that_never_gives_control_back() -> None:
    client = NodeSpec("stubborn", Stubborn, {}, ClockError(), is_client=True)
    with pytest.raises(KeyboardInterrupt):
        simulated.execute(Cluster([client]), seed=0)


def test_elsewhere_than_in_the_main_thread_nothing_is_touched() -> None:
    handlers = []

    def work() -> None:
        with between_events() as check:
            check()
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=10)
    assert handlers == [signal.default_int_handler]
