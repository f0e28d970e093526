"""Results to draw: small simulated runs, made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labkit import run
from labkit.figures import use_style
from labkit.results import Result


@pytest.fixture(params=["light", "dark"])
def theme(request) -> Iterator[str]:
    """Each theme in turn."""
    with use_style(dark=request.param == "dark"):
        yield request.param


@pytest.fixture(scope="session")
def quorum_run() -> Result:
    """A hundred pairs of operations, all of which succeed."""
    return run("quorums", seed=7, pairs=100)


@pytest.fixture(scope="session")
def strict_run() -> Result:
    """The same with larger quorums."""
    return run("quorums", seed=7, pairs=100, read_quorum=2, write_quorum=2)


@pytest.fixture(scope="session")
def cut_run() -> Result:
    """A run through a partition, with losses: operations of every outcome and messages of every fate."""
    parameters = {"partition": 0.2, "loss": 0.05, "read_quorum": 2, "write_quorum": 2, "timeout": 0.1}
    return run("quorums", seed=7, pairs=120, keys=1, **parameters)


@pytest.fixture(scope="session")
def outage_run() -> Result:
    """A run whose replicas crash and come back again and again."""
    return run("quorums", seed=7, pairs=100, availability=0.7, mean_outage=0.03, timeout=0.05)
