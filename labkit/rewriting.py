"""A reader's rule as code: is it what the protocol can take, what goes wrong in it, and can it be sent?"""

from __future__ import annotations

import functools
import inspect
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, TracebackType
from typing import Any

from labkit.calls import CallError
from labkit.errors import BadInput, LabkitError, plain
from labkit.lab import Rule
from labkit.node import Node
from labkit.wording import shortened

LONGEST_VALUE = 60
"""Characters of a value that a sentence shows."""

LET_THROUGH = (CallError, TimeoutError, LabkitError)
"""Errors that are outcomes, or tell of themselves; any other is a defect of the reader's code."""


class RuleFailed(Exception):
    """The reader's code raised an error, or answered what it must not; the message says which, and in what line."""


@dataclass(frozen=True)
class Written:
    """What a reader has written for a rule: the `function`, and what was `given`, which may be a class that has it."""

    rule: Rule
    given: Any
    function: FunctionType

    def put_into(self, node_class: type[Node]) -> type[Node]:
        """The node's class, with the reader's rule in the place of its own."""
        # Of the notebook, so that it travels to other processes as all classes of cells do.
        body = {"__module__": "__main__", "__qualname__": node_class.__qualname__}
        bases = (self.given, node_class) if isinstance(self.given, type) else (node_class,)
        return type(node_class.__name__, bases, body | {self.rule.method: _guarded(self.function, self.rule)})

    @staticmethod
    def told(rule: Rule, error: BaseException) -> str:
        """What an error that ended a run says of the reader's code."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, RuleFailed):
                return str(cause)
            cause = cause.__cause__
        if isinstance(error, LabkitError):
            # From another process comes the text alone, with the node and the instant before it.
            node, _, said = plain(error).partition(": ")
            return said if node.startswith(f"{RuleFailed.__name__} in ") else plain(error)
        return f"what {rule.name} left cannot be judged: {error}"

    def is_sendable(self) -> bool:
        """Whether another process can have it."""
        from labkit.runtimes.packing import can_be_sent

        return can_be_sent(self.given)

    def check_sendable(self) -> None:
        """Raise `BadInput` with the name of what cannot be sent to another process."""
        from labkit.runtimes.packing import what_cannot_be_sent

        if self.is_sendable():
            return
        for name, what in what_cannot_be_sent(self.function):
            raise BadInput(
                f"{self.rule.name} refers to {name}, {what}, which cannot be sent to another process: make it within "
                f"{self.rule.name}, or keep it on self"
            )
        raise BadInput(f"{self.rule.name} cannot be sent to another process: define it by itself, in a cell")


def written(rule: Rule, given: Any) -> Written:
    """The rule as a reader has given it; raises `BadInput` if it cannot take the place of the protocol's."""
    function = given
    if isinstance(given, type):
        function = inspect.getattr_static(given, rule.name, None)
        if function is None:
            raise BadInput(f"{given.__name__} has no method {rule.name}: it must have {rule.signature}")
    if not isinstance(function, FunctionType):
        raise BadInput(
            f"{rule.name} is {shortened(repr(given), LONGEST_VALUE)}: it must be a function, {rule.signature}"
        )
    is_async = inspect.iscoroutinefunction(function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise BadInput(f"{rule.name} has a yield in it: it must be a plain {rule.signature}")
    if is_async != rule.is_async:
        kind = "def, without async" if rule.is_async else "async def"
        raise BadInput(f"{rule.name} is defined by {kind}: it must be {rule.signature}")
    try:
        inspect.signature(function).bind(*rule.parameters)
    except TypeError:
        has = f"({', '.join(inspect.signature(function).parameters)})"
        raise BadInput(f"{rule.name} has the parameters {has}: it must be {rule.signature}") from None
    return Written(rule, given, function)


def _guarded(function: FunctionType, rule: Rule) -> Callable[..., Any]:
    """The function, whose defects are told as such, with the line, in whatever process it runs."""
    if rule.is_async:

        @functools.wraps(function)
        async def guarded(self: Any, *given: Any, **named: Any) -> Any:
            try:
                answer = await function(self, *given, **named)
            except LET_THROUGH:
                raise
            except Exception as error:
                raise RuleFailed(_where(function, rule, error)) from error
            return _checked(answer, rule)

    else:

        @functools.wraps(function)
        def guarded(self: Any, *given: Any, **named: Any) -> Any:
            try:
                answer = function(self, *given, **named)
            except LET_THROUGH:
                raise
            except Exception as error:
                raise RuleFailed(_where(function, rule, error)) from error
            return _checked(answer, rule)

    return guarded


def _checked(answer: Any, rule: Rule) -> Any:
    if rule.returns is not None and not isinstance(answer, rule.returns):
        raise RuleFailed(
            f"{rule.name} returned {shortened(repr(answer), LONGEST_VALUE)}: it must return a {rule.returns.__name__}"
        )
    return answer


def _where(function: FunctionType, rule: Rule, error: Exception) -> str:
    line = _last_line(error.__traceback__, function.__code__.co_filename)
    text = linecache.getline(function.__code__.co_filename, line).strip()
    place = f" in line {line}" + (f", {text}" if text else "")
    return f"{rule.name} raised {type(error).__name__}{place}: {plain(error)}"


def _last_line(trace: TracebackType | None, file: str) -> int:
    """The last line of the reader's own file that the error went through."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
