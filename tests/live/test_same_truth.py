"""A page's Python gives the bytes that CPython gives: for every experiment, over settings drawn from its dials."""

from __future__ import annotations

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from book.tools import node, web, web_packages, wheels
from book.tools.fresh import alone
from book.tools.layout import Layout
from labkit import BadInput, Choice, Dial, catalogue
from labkit.live.answering import answer_json, result_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
RUNNER = Path(__file__).with_name("answer_in_node.mjs")
SETS = 20
REFUSED = 3
MOST_EVENTS = 1_000
TRIES = 2_000
NODE_TIMEOUT = 600
HERE = {"answer": answer_json, "result": result_json}


def drawn(dial, chance: random.Random):
    """A value that the dial takes by itself."""
    if isinstance(dial, Choice):
        return chance.choice(dial.options)
    if not isinstance(dial, Dial):
        return chance.random() < 0.5
    if isinstance(dial.default, int):
        return chance.randint(int(dial.low), int(dial.high))
    return round(chance.uniform(dial.low, dial.high), 4)


def shrunk(experiment, values: dict) -> dict:
    """The values with the dials that make a run long turned down."""
    sizes = experiment.expected_events(values)
    total = sum(sizes.values())
    if total <= MOST_EVENTS:
        return values
    smaller = dict(values)
    for name in sizes:
        dial = experiment.dials[name]
        value = max(dial.low, values[name] * MOST_EVENTS / total)
        smaller[name] = int(value) if isinstance(dial.default, int) else value
    return smaller


def is_allowed(experiment, values: dict) -> bool:
    if sum(experiment.expected_events(values).values()) > 2 * MOST_EVENTS:
        return False  # asked first: to build a cluster takes longer
    try:
        experiment.cluster(0, values)
    except BadInput:
        return False
    return True


def settings(experiment) -> list[dict]:
    """Settings that the experiment takes, and a few that it does not; the same in every test run."""
    chance = random.Random(f"same truth: {experiment.name}")
    allowed, refused = [], []
    for _ in range(TRIES):
        values = shrunk(experiment, {name: drawn(dial, chance) for name, dial in experiment.dials.items()})
        (allowed if is_allowed(experiment, values) else refused).append(values)
        if len(allowed) == SETS:
            break
    numbers = {name: dial for name, dial in experiment.dials.items() if isinstance(dial, Dial)}
    refused += [{name: dial.high + 1} for name, dial in numbers.items()]
    assert len(allowed) == SETS, f"only {len(allowed)} of {TRIES} drawn settings of {experiment.name} are allowed"
    return allowed + refused[:REFUSED]


def pictures(experiment) -> list[dict]:
    """Every kind of picture, as requests name it."""
    dial = next(name for name, dial in experiment.dials.items() if isinstance(dial, Dial))
    values = {name: dial.default for name, dial in experiment.dials.items()}
    small = shrunk(experiment, values)
    first = json.loads(answer_json(json.dumps({"experiment": experiment.name, "parameters": small})))
    across = {"dial": dial, "measure": first["measures"][0]["name"], "values": [small[dial]]}
    options = {"latencies": {}, "over_time": {}, "space_time": {}, "under_way": {}, "across": across}
    return [{"name": name, "options": chosen} for name, chosen in options.items()]


@cache
def requests() -> list[tuple[str, str]]:
    """What is asked of both: a kind of call, and the request as JSON."""
    found = []
    for experiment in catalogue().values():
        kinds = pictures(experiment)
        for number, values in enumerate(settings(experiment)):
            picture = kinds[number % len(kinds)]
            request = {"experiment": experiment.name, "seed": number, "parameters": values, "picture": picture}
            text = json.dumps(request)
            found += [("result", text), ("answer", text)]
    return found


@pytest.fixture(scope="module")
def in_node():
    """A function that answers calls with the page's Python, in a process for each core."""
    layout = Layout(ROOT)
    with alone(layout):
        web_packages.install(layout)
        python, programs = wheels.make_python(layout), web.make_node_programs(layout)

    def answer(calls: list[tuple[str, str]], *, snapshot: bool = True, at_once: int = os.cpu_count() or 1) -> list[str]:
        cores = min(at_once, len(calls)) if snapshot else 1  # without it, to begin takes the longest
        with ThreadPoolExecutor(cores) as pool:
            shares = list(pool.map(lambda core: in_one_process(calls[core::cores], snapshot), range(cores)))
        return [shares[place % cores][place // cores] for place in range(len(calls))]

    def in_one_process(calls: list[tuple[str, str]], snapshot: bool) -> list[str]:
        lines = "".join(json.dumps({"kind": kind, "request": text}) + "\n" for kind, text in calls)
        places = [programs / "compute.mjs", python, *([wheels.SNAPSHOT] if snapshot else [])]
        output = node.run("The page's Python", RUNNER, *places, text=lines, timeout=NODE_TIMEOUT)
        return [json.loads(line) for line in output.splitlines()]

    return answer


def test_every_experiment_gives_the_same_bytes(in_node):
    calls = requests()
    there = in_node(calls)
    assert len(there) == len(calls) >= 2 * SETS * len(catalogue())
    different = [call for call, text in zip(calls, there, strict=True) if text != HERE[call[0]](call[1])]
    assert not different, f"{len(different)} of {len(calls)} differ, the first of them {different[0]}"
    refused = sum('"error":' in text[:10] for text in there)
    assert refused < len(there) / 2


def test_without_the_copy_of_its_memory_it_gives_the_same_bytes(in_node):
    calls = requests()[::60]
    assert in_node(calls, snapshot=False) == [HERE[kind](text) for kind, text in calls]


def test_files_of_other_modules_come_once_and_serve(in_node):
    """A copy of Python's memory holds what was imported; the rest, of its library and of labkit, comes later."""
    asked = [("module", "xml.dom.minidom"), ("complete", ""), ("complete", "")]
    asked += [("module", "xml.dom.minidom"), ("module", "labkit.shiviz"), requests()[0]]
    *told, answered = in_node(asked, at_once=1)
    assert told == ["false", "true", "false", "true", "true"]
    assert answered == HERE[asked[-1][0]](asked[-1][1])


def test_absurd_requests_get_the_same_sentence(in_node):
    absurd = ["", "{}", "[1]", "not JSON", '{"experiment": "</script>"}', '{"seed": 1e999}', "[" * 90_000]
    calls = [(kind, text) for text in absurd for kind in HERE]
    assert in_node(calls) == [HERE[kind](text) for kind, text in calls]
