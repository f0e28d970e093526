"""Running what an answer needs, counting its events, and remembering what is cheap to remember."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from labkit.history import Operation, Recording
from labkit.lab import Experiment
from labkit.results import Result
from labkit.running import run

Runner = Callable[..., Result]


class Simulations:
    """Runs simulations by `runner`, and keeps the measures of the latest `most_kept` of them.

    Only for as long as the experiments and the code of their nodes stay what they are: a browser's worker may keep
    runs, a kernel, in which a learner changes a node's code, may not.
    """

    def __init__(self, runner: Runner = run, most_kept: int = 0):
        self._runner = runner
        self._most_kept = most_kept
        self._kept: dict[str, tuple[Result, int]] = {}

    def whole(
        self, experiment: Experiment, seed: int, values: Mapping[str, Any], trace: bool = False
    ) -> tuple[Result, int]:
        """A run with its history, and its events."""
        result = self._runner(experiment, seed=seed, trace=trace, **values)
        return result, events(result)

    def measured(self, experiment: Experiment, seed: int, values: Mapping[str, Any]) -> tuple[Result, int]:
        """A run of which only measures and verdicts are wanted: its history may be gone; and its events."""
        if not self._most_kept:
            return self.whole(experiment, seed, values)
        key = json.dumps([experiment.name, seed, values], sort_keys=True)
        found = self._kept.pop(key, None) or self._without_history(experiment, seed, values)
        self._kept[key] = found  # the one asked for last is the last to go
        if len(self._kept) > self._most_kept:
            del self._kept[next(iter(self._kept))]
        return found

    def _without_history(self, experiment: Experiment, seed: int, values: Mapping[str, Any]) -> tuple[Result, int]:
        result, number = self.whole(experiment, seed, values)
        result.recording = Recording(duration_us=result.recording.duration_us)
        return result, number


def events(result: Result) -> int:
    """How many events a run had: sendings, receipts, and the nodes' own steps (Lamport 1978).

    Counted from what a run leaves behind anyway: a receipt for each sending unless the trace knows better, a step
    for each invocation, each response and each note.
    """
    recording = result.recording
    arrived = recording.messages_sent
    if result.messages and not recording.messages_dropped_from_trace:
        arrived = sum(message.arrived_us is not None for message in result.messages)
    return recording.messages_sent + arrived + sum(map(_steps, result.operations)) + len(result.notes)


def _steps(operation: Operation) -> int:
    return 1 if operation.returned_us is None else 2
