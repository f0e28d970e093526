"""What an object would do if its operations came one at a time: the specification that a history is held against."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from labkit.errors import BadInput
from labkit.history import Operation


class Model(Protocol):
    """A sequential specification: the state at first, and whether an operation may come next and what it leaves.

    Objects and states are hashable, never changed, and compared by ``==``. States are equal exactly if no later
    operation can tell them apart; values are, too, so that to a register 1, 1.0 and True are the same. `overwrites`
    promises that an operation that reads is right in one state only, the one `seen`, and leaves it as it is; and that
    any other leaves the same state whatever was there before. The search is then much shorter.
    """

    initial: Hashable
    overwrites: bool

    def part(self, operation: Operation) -> Hashable:
        """The independent object that the operation is on; a history is linearizable if each object's is."""
        ...

    def reads(self, operation: Operation) -> bool:
        """Whether the operation's answer depends on the state; raises `BadInput` for one that the object lacks."""
        ...

    def writes(self, operation: Operation) -> bool:
        """Whether the operation may change the state."""
        ...

    def seen(self, operation: Operation) -> Hashable:
        """The one state in which the answer of an operation that reads is right; asked only if it `overwrites`."""
        ...

    def step(self, state: Hashable, operation: Operation) -> tuple[bool, Hashable]:
        """Whether the operation may come next in this state, and the state after it.

        The answer of an operation whose outcome is ``unknown`` is not known either: any is legal.
        """
        ...


@dataclass(frozen=True)
class Register:
    """One register a key: ``write`` sets its value, ``read`` returns it, and at first it holds `initial`."""

    initial: Hashable = None
    overwrites: ClassVar[bool] = True

    def part(self, operation: Operation) -> Hashable:
        """The key: registers have nothing to do with each other."""
        return operation.key

    def reads(self, operation: Operation) -> bool:
        """Whether it is a ``read``; raises `BadInput` for anything else that is no ``write``."""
        if operation.function not in ("read", "write"):
            raise BadInput(f"function is {operation.function!r}: a register has 'read' and 'write'")
        return operation.function == "read"

    def writes(self, operation: Operation) -> bool:
        """Whether it is a ``write``."""
        return operation.function == "write"

    def seen(self, operation: Operation) -> Hashable:
        """What the read returned."""
        return operation.value

    def step(self, state: Hashable, operation: Operation) -> tuple[bool, Hashable]:
        """A write may always come next; a read only if it returned the value that is there."""
        if operation.function == "write":
            return True, operation.value
        return operation.value == state or not operation.ok, state
