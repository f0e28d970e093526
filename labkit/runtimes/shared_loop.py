"""What of an event loop belongs to the node whose code runs on it: the simulated loop serves all nodes of a cluster.

On processes, each node has a loop of its own: another's errors, settings and generators are out of its reach. Here they
must be, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import simpy

from labkit.errors import NodeFailure, NotSimulated, failure_in
from labkit.runtimes.refusals import Refusing
from labkit.runtimes.simulated_tasks import Incarnation


class SharedLoop(Refusing):
    """A loop of several nodes; `owner` is the one whose code is running, to which all that is begun then belongs."""

    owner: Incarnation | None = None
    is_shared = False
    environment: simpy.Environment

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[NodeFailure] = []
        self._generators: dict[int, Incarnation | None] = {}  # by identity, the node that each belongs to

    @contextmanager
    def on_behalf_of(self, owner: Incarnation | None) -> Iterator[None]:
        """Let what is begun in the ``with`` block belong to `owner`."""
        previous, self.owner = self.owner, owner
        try:
            yield
        finally:
            self.owner = previous

    def end(self) -> None:
        """Let `run_until` return at the end of this instant."""
        self._stopping = True

    def stop(self) -> None:
        """Let `run_forever` return; a node has no loop of its own to stop, which is then its error."""
        if self.owner is not None:
            raise NotSimulated("loop.stop is not part of a simulation: all nodes share one loop; return from `run`")
        self.end()

    def fail(self, error: BaseException, owner: Incarnation, at_us: int | None = None) -> None:
        """Keep the error of a node, which was at `at_us` if it was not now, and let `run_until` return."""
        failure = NodeFailure(failure_in(owner.name, error, self.environment._now if at_us is None else at_us))
        failure.__cause__ = error
        self.errors.append(failure)
        self.end()

    @property
    def _task_factory(self) -> Any:
        return self._own_factory if self.owner is None else self.owner.task_factory

    @_task_factory.setter
    def _task_factory(self, factory: Any) -> None:
        if self.owner is None:
            self._own_factory = factory
        else:
            self.owner.task_factory = factory

    def get_exception_handler(self) -> Any:
        """The handler that this node has set, or None."""
        return self._own_handler if self.owner is None else self.owner.exception_handler

    @property
    def _exception_handler(self) -> Any:
        return self._dispatch if self.is_shared else self._own_handler

    @_exception_handler.setter
    def _exception_handler(self, handler: Any) -> None:
        if self.owner is None:
            self._own_handler = handler
        else:
            self.owner.exception_handler = handler

    def _dispatch(self, loop: SharedLoop, context: dict[str, Any]) -> None:
        # An error that nobody awaited is told to the node that it belongs to, whichever runs when it comes to light.
        source = context.get("task") or context.get("future")
        with self.on_behalf_of(getattr(source, "owner", None) or self.owner):
            handler = self.get_exception_handler()
            if handler is None:
                self.default_exception_handler(context)
            else:
                handler(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """End the run with the error of a node, unless the node is dead."""
        source, owner = context.get("task") or context.get("future"), self.owner
        if owner is None:
            super().default_exception_handler(context)
        elif owner.alive:
            error = context.get("exception") or NodeFailure(context["message"])
            self.fail(error, owner, getattr(source, "failed_us", None))

    def _asyncgen_firstiter_hook(self, generator: Any) -> None:
        super()._asyncgen_firstiter_hook(generator)
        # Not by weak reference: that is gone before the generator's end is told. An identity may come again, and is
        # then overwritten.
        self._generators[id(generator)] = self.owner

    def _asyncgen_finalizer_hook(self, generator: Any) -> None:
        owner = self._generators.pop(id(generator), None)
        self._asyncgens.discard(generator)
        if not self._closed and (owner is None or owner.alive):
            with self.on_behalf_of(owner):
                # The class's own: a task may be in the making (labkit.eager).
                type(self).call_soon(self, self.create_task, generator.aclose())
