"""What Ray runs in its workers: the actor around a node's process, and tasks."""

from __future__ import annotations

import dataclasses
import pickle

from labkit.runtimes.node_process import live
from labkit.runtimes.packing import unpack


class NodeActor:
    """The Ray actor around a node's process: one call, which lasts as long as the node."""

    def live(self, package: bytes, one_machine: bool) -> None:
        """Be the node of the `Life` in `package`."""
        import ray

        life = pickle.loads(package)
        if not one_machine:
            life = dataclasses.replace(life, bind=ray.util.get_node_ip_address())
        live(life, ray.get_runtime_context().get_node_id())


def run_some(package: bytes) -> bytes:
    """Do some jobs, all packed with what does them; pickled, the outcomes or the error of the first that failed."""
    work, jobs = unpack(package)
    try:
        return pickle.dumps((True, [work(job) for job in jobs]))
    except Exception as error:
        return _pickled_error(error)


def _pickled_error(error: Exception) -> bytes:
    try:
        pickled = pickle.dumps((False, error))
        pickle.loads(pickled)
    except Exception:  # not every error survives the way: what it says does
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return pickled
