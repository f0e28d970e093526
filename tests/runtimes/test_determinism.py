"""One seed gives one history, byte for byte, in every process and on every Python."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import catalogue
from tests.runtimes.pythons import VERSIONS, interpreters

ROOT = Path(__file__).parents[2]
# Small, and with something of everything that draws a random number.
SETTINGS = {
    "quorums": [
        {"pairs": 100, "loss": 0.05, "availability": 0.9, "mean_outage": 0.1, "mixed": "true", "keys": 5},
        {"pairs": 100, "partition": 0.2, "sloppy": "true", "read_quorum": 2, "write_quorum": 2, "durable": "true"},
        {"pairs": 100, "shape": "linkedin disk", "clock_offset": 0.1, "timestamps": "hybrid", "keys": 3},
    ],
    "clocks": [{"writes": 50, "synchronisation": "ntp", "drift_ppm": 100, "commit_wait": "true", "loss": 0.05}],
    "leases": [{"drift_ppm": 50_000, "pause": 1.0, "holders": 4, "fencing": "true"}],
    "logical_clocks": [{"nodes": 5, "events": 30, "loss": 0.1, "drift_ppm": 200}],
    "two_events": [{"message": "true"}],
    "siblings": [{"clients": 5, "loss": 0.1, "ids": "dotted"}, {"clients": 5, "ids": "server"}],
    "queueing": [{"customers": 500, "workers": 3, "shape": "pareto"}],
    "sync_vs_async": [
        {"mode": mode, "orders": 60, "outage": 1.0, "failure_rate": 0.1, "loss": 0.02, "retries": 1}
        for mode in ("call", "queue", "hybrid")
    ],
    "placement": [{"keys": 2000, "rule": rule} for rule in ("ring", "rendezvous", "jump", "modulo")],
    "sharding": [{"chaos": "true", "loss": 0.02, "duplication": 0.02, "length": 2.0, "move_at": 0.5}],
    "vertical": [{"pages": 100, "down": "orders"}],
    "transactions": [
        {"chaos": 5, "bookings": 15, "rate": 30, "loss": 0.02, "duplication": 0.02, "flights": 3, "reads": 10},
        {"protocol": "orchestrated saga", "declined": 0.3, "bookings": 20, "compensation_failure": 0.3, "loss": 0.05},
        {"protocol": "choreographed saga", "crash": "payment", "bookings": 15, "declined": 0.3, "duplication": 0.1},
    ],
}
CHAOS = Path(__file__).with_name("chaos.py")


@pytest.fixture(scope="module")
def others() -> dict[str, str]:
    """Other Pythons; where LABKIT_REQUIRE_PYTHONS is set, going without is a failure."""
    found = interpreters()
    if not found:
        missing = f"no other Python of {', '.join(VERSIONS)} on the path or among pyenv's versions"
        if os.environ.get("LABKIT_REQUIRE_PYTHONS"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def output(python: str, arguments: list[str], path: str, hash_seed: int) -> bytes:
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONHASHSEED": str(hash_seed),
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip
    done = subprocess.run(
        [python, "-s", *arguments],
        env=environment,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{python} {arguments}: {done.stderr.decode()[-2000:]}"
    return done.stdout


def digests(python: str, path: str, hash_seed: int) -> dict[str, str]:
    """The hash of what each experiment, and a cluster under every kind of fault, gives in a process of its own."""
    script = [str(CHAOS), json.dumps(SETTINGS)]
    lines = output(python, script, path, hash_seed).decode().splitlines()
    return dict(line.split("\t") for line in lines)


@pytest.fixture(scope="module")
def expected(search_path) -> dict[str, str]:
    return digests(sys.executable, search_path, hash_seed=0)


def test_every_experiment_is_held_to_it(expected):
    assert SETTINGS.keys() == catalogue().keys()
    assert len(expected) == sum(map(len, SETTINGS.values())) + 2
    assert len(set(expected.values())) == len(expected)


@pytest.mark.parametrize("hash_seed", [1, 4_294_967_295])
def test_another_process_with_other_hashes_gives_the_same_bytes(expected, search_path, hash_seed):
    assert digests(sys.executable, search_path, hash_seed) == expected


def test_every_python_gives_the_same_bytes(expected, search_path, others):
    for number, (version, python) in enumerate(others.items()):
        assert digests(python, search_path, hash_seed=number + 2) == expected, f"Python {version}"


@pytest.mark.parametrize("name", SETTINGS)
def test_the_command_line_gives_those_bytes(name, expected, search_path):
    settings = SETTINGS[name][0]
    arguments = ["-m", "labkit", "run", name, "--seed", "7", "--json", "--trace"]
    for dial, value in settings.items():
        arguments += ["--set", f"{dial}={value}"]
    found = output(sys.executable, arguments, search_path, hash_seed=3).strip()
    assert hashlib.sha256(found).hexdigest() == expected[f"{name}-0"]
    assert json.loads(found)["seed"] == 7
