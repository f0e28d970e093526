"""The runs that a page carries, so that the first touch of a live figure is answered at once."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from book.tools.layout import BuildError
from labkit.live.answering import answer_json

VALUES_A_CONTROL = 5
GRID_POINTS = 25
MOST_ANSWERS = 40
ANSWERS_TIMEOUT = 600

Parameters = dict[str, Any]


def candidates(description: dict[str, Any]) -> list[Parameters]:
    """Where the controls stand in each run to carry; only those are named that are not at their start.

    First each control alone through a few of its values, then a grid over the first two.
    """
    controls = description["controls"]
    found: list[Parameters] = []
    for parameters in itertools.chain(alone(controls), grid(controls[:2])):
        if parameters and parameters not in found:
            found.append(parameters)
    return found[:MOST_ANSWERS]


def alone(controls: Sequence[dict[str, Any]]) -> Iterator[Parameters]:
    """Each control through a few values, the others at their start; the controls take turns."""
    moves = [[{control["name"]: value} for value in elsewhere(control)] for control in controls]
    for turn in itertools.zip_longest(*moves):
        yield from (move for move in turn if move is not None)


def grid(controls: Sequence[dict[str, Any]]) -> Iterator[Parameters]:
    """Two controls moved together."""
    if len(controls) < 2:
        return
    side = int(GRID_POINTS**0.5)
    for values in itertools.product(*(elsewhere(control)[: side - 1] for control in controls)):
        yield {control["name"]: value for control, value in zip(controls, values, strict=True)}


def elsewhere(control: dict[str, Any]) -> list[Any]:
    """A few of a control's values without the one that it starts at: the next, the ends, and some between."""
    values = control["values"]
    start, last = values.index(control["value"]), len(values) - 1
    count = min(VALUES_A_CONTROL, len(values))
    spread = sorted({round(number * last / max(count - 1, 1)) for number in range(count)})
    places = dict.fromkeys(place for place in (start + 1, start - 1, 0, last, *spread) if 0 <= place <= last)
    return [values[place] for place in places if place != start]


def request_for(description: dict[str, Any], parameters: Parameters) -> dict[str, Any]:
    """The request for the run at which the controls stand so."""
    first = description["initial"]["request"]
    return {**first, "parameters": {**first["parameters"], **parameters}}


def answers(requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers to these requests, in their order, computed on all cores."""
    texts = [json.dumps(request) for request in requests]
    # A fresh process each, as labkit runs in a kernel or a browser: nothing of this one's comes along.
    context = multiprocessing.get_context("spawn")
    workers = min(os.cpu_count() or 1, len(texts))
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=leave_interrupts_to_the_parent)
    try:
        return [json.loads(text) for text in pool.map(answer_json, texts, timeout=ANSWERS_TIMEOUT)]
    except TimeoutError:
        raise BuildError(f"{len(texts)} runs were not done within {ANSWERS_TIMEOUT} s") from None
    finally:
        pool.shutdown(cancel_futures=True)


def leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches a terminal's every process; one of them says that it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def small(answer: dict[str, Any], initial: dict[str, Any]) -> dict[str, Any]:
    """An answer without what the page can take from the figure's first one."""
    if "error" in answer:
        return {"error": answer["error"]}
    first = initial["picture"]
    picture = {name: part for name, part in answer["picture"].items() if part != first.get(name)}
    return {**{name: part for name, part in answer.items() if name != "request"}, "picture": picture}
