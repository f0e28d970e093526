"""The interpreter's own tests of asyncio, on the simulated loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtimes.pythons import RUNNING, has_its_own_tests, interpreters

ROOT = Path(__file__).parents[2]
OWN_TESTS = (
    "test_tasks", "test_futures", "test_futures2", "test_queues", "test_locks", "test_timeouts", "test_taskgroups",
    "test_waitfor",
)  # fmt: skip


def own_tests_of(python: str, path: str) -> dict:
    environment = {**os.environ, "PYTHONPATH": path}
    command = [python, str(Path(__file__).with_name("interpreters_own.py")), *OWN_TESTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(320)
@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_the_interpreters_own_tests_of_asyncio_pass_on_the_simulated_loop(version, search_path):
    python = sys.executable if version == RUNNING else interpreters().get(version)
    if python is None or not has_its_own_tests(python):
        pytest.skip(f"no Python {version} with its own tests on this machine")
    told = own_tests_of(python, search_path)
    assert told["failed"] == []
    assert told["ran"] > 1000
    assert told["loops"] > told["ran"]  # the loops that they ask for are simulated ones
