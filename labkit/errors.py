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


def told(error: BaseException) -> str:
    """What an error says, also one that cannot even say it."""
    try:
        return str(error)
    except Exception as worse:
        return f"(its message cannot be had: {type(worse).__name__})"
