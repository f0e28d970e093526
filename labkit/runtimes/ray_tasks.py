"""Independent jobs as Ray tasks, over every core of this machine or of a cluster."""

from __future__ import annotations

import pickle
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from labkit.errors import MissingComponent
from labkit.runtimes.packing import pack
from labkit.runtimes.ray_broker import FAILED, ITEM
from labkit.runtimes.ray_session import open_session

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

TASKS_PER_CORE = 8
"""Enough that no core waits long for the last task, few enough that Ray's millisecond a task does not show."""

STALL_SECONDS = 600.0


def spread(work: Callable[[Job], Outcome], jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
    """``(i, work(jobs[i]))`` for each job, in the order in which they are done.

    Errors that `work` raises are raised here; what is still under way is then cancelled, as it is on Ctrl-C. Raises
    `MissingComponent` if Ray dies.
    """
    session = open_session()
    size = max(1, len(jobs) // (session.ask("cores") * TASKS_PER_CORE))
    begins = range(0, len(jobs), size)
    answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    number = session.begin(
        "spread",
        [pack((work, list(jobs[begin : begin + size]))) for begin in begins],
        heard=lambda said, value: answers.put((said, value)),
    )
    try:
        for _ in begins:
            task, outcomes = _next(answers)
            for place, outcome in enumerate(outcomes):
                yield begins[task] + place, outcome
    finally:
        session.forget(number)
        session.tell(number, "cancel")


def _next(answers: queue.SimpleQueue[tuple[str, Any]]) -> tuple[int, list[Any]]:
    try:
        said, value = answers.get(timeout=STALL_SECONDS)
    except queue.Empty:
        raise MissingComponent(f"no Ray task has finished for {STALL_SECONDS:g} seconds: is a core free?") from None
    if said == FAILED:
        raise MissingComponent(f"a Ray task was lost: {value}")
    assert said == ITEM
    task, pickled = value
    is_done, outcome = pickle.loads(pickled)
    if not is_done:
        raise outcome
    return task, outcome
