"""What a notebook's cells define travels to real processes as it does in simulation, or is refused by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def told() -> list[list]:
    """What `cells.py` prints: refusals, the simulated run, the real run, a sweep."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtimes.cells"], capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_classes_of_main_are_the_same_classes_in_every_process(told: list[list]) -> None:
    """As values of messages, replies, operations and notes, on disk over a crash, node to node and back."""
    _, simulated, real, _ = told
    assert real == simulated
    put, got, own, incidents = real
    assert put == "(Money(amount=10, currency=<Currency.YEN: 2>), True, True, True)"
    assert got == "Money(amount=5, currency=<Currency.YEN: 2>)"
    assert own == [True] * 4 and incidents == []


def test_an_experiment_of_a_cell_can_be_swept_on_all_cores(told: list[list]) -> None:
    assert told[3] == [2, 8]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (0, "Careless refers to LOCK, a lock, which cannot be sent to another process: define Careless in a module, "),
        (1, "Correlating refers to REQUEST (in request), a ContextVar, which cannot be sent to another process: "),
        (2, "Logging refers to log, a BufferedWriter, which cannot be sent to another process: define Logging in a "),
        (3, "lock of client is a lock, which cannot be sent to another process: make it in Given.start()"),
    ],
    ids=["a lock", "a context variable behind a helper", "an open file as an attribute", "a parameter"],
)
def test_what_cannot_be_sent_is_named_in_one_sentence(told: list[list], number: int, sentence: str) -> None:
    assert told[0][number].startswith(sentence)
    assert "\n" not in told[0][number]
