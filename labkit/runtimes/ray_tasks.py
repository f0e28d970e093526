"""Independent jobs as Ray tasks, over every core of this machine or of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from labkit.errors import LabkitError, MissingComponent
from labkit.runtimes.ray_session import ray_session

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

TASKS_PER_CORE = 8
"""Enough that no core waits long for the last task, few enough that Ray's millisecond a task does not show."""

STALL_SECONDS = 600.0


def spread(work: Callable[[Job], Outcome], jobs: Sequence[Job]) -> Iterator[tuple[int, Outcome]]:
    """``(i, work(jobs[i]))`` for each job, in the order in which they are done.

    Errors that `work` raises are raised here; what is still under way is then cancelled, as it is on Ctrl-C.
    """
    ray = ray_session()
    cores = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    size = max(1, len(jobs) // (cores * TASKS_PER_CORE))
    task = ray.remote(num_cpus=1, max_retries=1)(_run_some)
    pending = {task.remote(work, jobs[begin : begin + size]): begin for begin in range(0, len(jobs), size)}
    try:
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1, timeout=STALL_SECONDS)
            if not done:
                raise MissingComponent(f"no Ray task has finished for {STALL_SECONDS:g} seconds: is a core free?")
            begin = pending.pop(done[0])
            for place, outcome in enumerate(_fetch(ray, done[0])):
                yield begin + place, outcome
    finally:
        for reference in pending:
            with suppress(Exception):
                ray.cancel(reference, force=True)


def _fetch(ray: Any, reference: Any) -> list[Any]:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.as_instanceof_cause()
        raise cause if isinstance(cause, LabkitError) else error from None
    except ray.exceptions.RayError as error:
        raise MissingComponent(f"a Ray task was lost: {str(error).splitlines()[0]}") from error


def _run_some(work: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
    return [work(job) for job in jobs]
