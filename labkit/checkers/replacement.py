"""Which write replaced which, as a history shows it, and what must be left of a key in the end.

A write replaces what the last read of its own process returned; a read returns the values of all siblings. In the end,
once every write of a key has ended, what somebody replaced knowingly is gone, and whoever is asked gives one answer.
Two writes of a key that share their value cannot be told apart: neither is judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.calls import FAIL
from labkit.checkers.linearization import in_order, precedes
from labkit.history import Operation

ReadAndWrite = tuple[Operation | None, Operation]
Step = tuple[Operation, str]

DROPPED = {
    2: ("acknowledged, and gone in the end", "the last read: it lacks a write that nobody had read and replaced"),
    3: (
        "acknowledged, and gone in the end",
        "its writer had read nothing, so that it replaced nothing",
        "the last read: it lacks the first write",
    ),
    4: (
        "acknowledged, and gone in the end",
        "what the next writer knew: the first write is not among it",
        "replaced what its writer had read, and not the first write",
        "the last read: it lacks the first write",
    ),
}
SURVIVED = {
    4: (
        "the first write",
        "returned it to the next writer",
        "acknowledged: it replaced what its writer had read",
        "began later, and shows the replaced write still",
    )
}
DISAGREED = {2: ("a read after all writes", "another one, with another answer")}
"""The part of each step of a story, by the number of its steps."""


@dataclass(frozen=True)
class Survival:
    """A write that is still read although another, whose writer had read it, has replaced it."""

    write: Operation
    seen: Operation
    replacing: Operation
    read: Operation

    @property
    def story(self) -> tuple[Operation, ...]:
        """The write, the read that returned it to the other writer, that one's write, and the late read."""
        return self.write, self.seen, self.replacing, self.read


def with_roles(story: Sequence[Operation], roles: Mapping[int, Sequence[str]]) -> list[Step]:
    """The steps of a story, each with its part in it."""
    return list(zip(story, roles[len(story)], strict=True))


def reads_and_writes(history: Iterable[Operation]) -> Iterator[ReadAndWrite]:
    """The writes that may have happened, each with what its writer had read of the key, in order of invocation."""
    seen_by: dict[tuple[str, Any], Operation] = {}
    for operation in sorted(history, key=in_order):
        name = (operation.process, operation.key)
        if operation.function == "read" and operation.ok:
            seen_by[name] = operation
        elif operation.function == "write" and operation.outcome != FAIL:
            yield seen_by.get(name), operation


def last_reads(history: Iterable[Operation]) -> dict[Any, Operation]:
    """For each key the read that was invoked last."""
    reads = [read for read in history if read.function == "read" and read.ok]
    return {read.key: read for read in sorted(reads, key=lambda read: read.invoked_us)}


def final_reads(history: Iterable[Operation]) -> dict[Any, list[Operation]]:
    """For each key the reads that began after all its writes had ended, or were given up, in order; at least the last.

    A store of several servers must have had time to exchange what they have before somebody reads so late.
    """
    history = list(history)
    ended: dict[Any, int] = defaultdict(lambda: -1)
    for write in history:
        if write.function == "write":
            end = write.invoked_us if write.returned_us is None else write.returned_us
            ended[write.key] = max(ended[write.key], end)
    reads: dict[Any, list[Operation]] = defaultdict(list)
    for read in sorted(history, key=lambda operation: operation.invoked_us):
        if read.function == "read" and read.ok:
            reads[read.key].append(read)
    late = {key: [read for read in known if read.invoked_us > ended[key]] for key, known in reads.items()}
    return {key: late[key] or known[-1:] for key, known in reads.items()}


def survivals(history: Iterable[Operation]) -> Iterator[Survival]:
    """The writes that a read shows in the end although an acknowledged write had replaced them before it began."""
    history = list(history)
    written = told_apart(history)
    reads = final_reads(history)
    for seen, replacing in reads_and_writes(history):
        if seen is None or not replacing.ok or replacing.returned_us is None:
            continue
        for value in seen.value:
            write = written.get((replacing.key, value))
            late = (read for read in reads.get(replacing.key, ()) if value in read.value)
            read = next((read for read in late if read.invoked_us > replacing.returned_us), None)
            if write is not None and write is not replacing and read is not None:
                yield Survival(write, seen, replacing, read)


def inventions(history: Iterable[Operation]) -> Iterator[Operation]:
    """The reads that returned a value that no write of the key can have written by then: none had begun.

    Raises `BadInput` for a successful read that never returned.
    """
    history = list(history)
    writes: dict[tuple[Any, Any], list[Operation]] = defaultdict(list)
    for write in history:
        if write.function == "write" and write.outcome != FAIL:
            writes[write.key, write.value].append(write)
    for read in history:
        if read.function == "read" and read.ok and any(_is_invented(read, writes, value) for value in read.value):
            yield read


def _is_invented(read: Operation, writes: dict[tuple[Any, Any], list[Operation]], value: Any) -> bool:
    return all(precedes(read, write) for write in writes.get((read.key, value), ()))


def disagreements(history: Iterable[Operation]) -> Iterator[tuple[Operation, Operation]]:
    """Pairs of reads that came after all writes of their key and differ; for each key the first such pair.

    What a write of unknown outcome wrote, or may have replaced, may come and go: it is left out.
    """
    history = list(history)
    doubtful = {
        (write.key, value)
        for seen, write in reads_and_writes(history)
        if not write.ok
        for value in (write.value, *(seen.value if seen is not None else ()))
    }
    for key, reads in final_reads(history).items():
        first, *others = [{value for value in read.value if (key, value) not in doubtful} for read in reads]
        for read, values in zip(reads[1:], others, strict=True):
            if values != first:
                yield reads[0], read
                break


def told_apart(history: Iterable[Operation]) -> dict[tuple[Any, Any], Operation]:
    """By key and value the write that alone may have written it."""
    writes = [operation for operation in history if operation.function == "write" and operation.outcome != FAIL]
    times = Counter((write.key, write.value) for write in writes)
    return {(write.key, write.value): write for write in writes if times[write.key, write.value] == 1}
