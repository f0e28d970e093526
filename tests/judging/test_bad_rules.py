"""What cannot be judged is refused before anything runs, in one sentence that says what is expected."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.errors import BadInput
from labkit.judging import judge

CELL = Path(__file__).with_name("cell.py")


async def get(self, key):
    """Takes the place of the protocol's."""


async def two_keys(self, key, other):
    """Has a parameter too many."""


def not_async(self, key):
    """Cannot await."""


async def yields(self, key):
    yield key


async def receive_vector(self, mine, message):
    """Must not await."""


class Empty:
    """Has no rule."""


EXPECTED = "it must be async def get(self, key)"


@pytest.mark.parametrize(
    ("experiment", "given", "message"),
    [
        ("quorum", {"get": get}, "there is no experiment 'quorum': did you mean 'quorums'?"),
        ("quorums", {"got": get}, "quorums has no rule 'got': did you mean 'get'?"),
        ("two_events", {"get": get}, "two_events has no rule to be written"),
        (
            "quorums",
            {},
            "no rule is given, and quorums lets you write async def get(self, key): Return",
        ),
        ("quorums", {"get": get, "put": get}, "the rules given are get, put: judge takes one at a time, of get"),
        ("quorums", {"get": 3}, "get is 3: it must be a function, async def get(self, key)"),
        ("quorums", {"get": functools.partial(get)}, "it must be a function, async def get(self, key)"),
        ("quorums", {"get": Empty}, "Empty has no method get: it must have async def get(self, key)"),
        ("quorums", {"get": two_keys}, f"get has the parameters (self, key, other): {EXPECTED}"),
        ("quorums", {"get": not_async}, f"get is defined by def, without async: {EXPECTED}"),
        ("quorums", {"get": yields}, "get has a yield in it: it must be a plain async def get(self, key)"),
        (
            "logical_clocks",
            {"receive_vector": receive_vector},
            "receive_vector is defined by async def: it must be def receive_vector(self, mine, message)",
        ),
        ("quorums", {"get": get, "seeds": 0}, "seeds is 0: it must be a whole number from 1 to 10,000"),
        ("quorums", {"get": get, "seeds": True}, "seeds is True: it must be a whole number"),
        ("quorums", {"get": get, "runtime": "threads"}, "runtime is 'threads': it must be simulated or ray"),
    ],
)
def test_it_is_refused_in_one_sentence(experiment, given, message):
    with pytest.raises(BadInput) as refused:
        judge(experiment, **given, progress=False)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.real
@pytest.mark.timed
@pytest.mark.timeout(120)
def test_a_rule_of_a_notebooks_cell_travels_and_one_that_cannot_is_refused():
    done = subprocess.run([sys.executable, CELL], capture_output=True, text=True, timeout=100, check=True)
    said = json.loads(done.stdout)
    assert said["function"] == said["class"] == []
    assert said["cores"] == said["one core"]
    assert said["lock"].startswith("write refers to LOCK, a lock, which cannot be sent to another process")
