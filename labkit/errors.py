"""The errors labkit raises on purpose, each with the exit code that the command line gives it."""

from __future__ import annotations


class LabkitError(Exception):
    """Base of every error that is reported to the reader as one sentence."""

    exit_code = 1


class BadInput(LabkitError, ValueError):
    """A parameter, a name or a file is not what is allowed; the message says which, its value, and what is."""

    exit_code = 2


class MissingComponent(LabkitError):
    """Something this machine lacks or cannot reach (Ray, memory, a port); the message says how to get it."""

    exit_code = 3


class NodeFailure(LabkitError):
    """Code of a node raised an error that nobody handled: a defect in the protocol, never a modelled fault."""

    exit_code = 4


class NotSimulated(LabkitError, NotImplementedError):
    """Node code asked a simulated loop for a thread, a socket, a process or a signal."""

    exit_code = 4


class RunTimedOut(LabkitError):
    """The clients of a run had not finished when its time limit was reached."""

    exit_code = 5


def plain(error: BaseException) -> str:
    """What an error says, on one line: its text's first line, or its type where it has none or cannot be asked."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # the text of a node's own error class may fail, too
        lines = []
    return lines[0].strip() if lines else type(error).__name__


def failure_in(node: str, error: BaseException, at_us: int) -> str:
    """How a run tells of an error in a node's code: its type, the node, when it was, and what the error says."""
    try:
        text = str(error)
    except Exception as broken:
        text = f"(its text cannot be made: {type(broken).__name__})"
    return f"{type(error).__name__} in {node} at {at_us / 1e6:.6f} s: {text}".removesuffix(": ")
