"""What a container lets a process use, in both versions of control groups, and what that means for Ray."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labkit import machine

VERSION_2 = "0::/box/inner\n"
VERSION_1 = "3:cpuset:/\n2:cpu,cpuacct:/box\n1:memory:/\n"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of control groups, on a machine of 64 cores."""
    monkeypatch.setattr(machine, "CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "OWN_CONTROL_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    return tmp_path / "cgroup"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_control_groups_the_cores_are_the_machines(groups: Path) -> None:
    assert machine.usable_cores() == 64


def test_affinity_counts(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert machine.usable_cores() == 2


@pytest.mark.parametrize(
    ("outer", "inner", "cores"),
    [
        ("max 100000", "150000 100000", 2),
        ("200000 100000", "max 100000", 2),
        ("300000 100000", "50000 100000", 1),
        ("max 100000", "max 100000", 64),
        ("nonsense", "", 64),
    ],
)
def test_the_least_quota_of_version_2_holds(groups: Path, outer: str, inner: str, cores: int) -> None:
    write(groups.parent / "own", VERSION_2)
    write(groups / "box" / "cpu.max", outer)
    write(groups / "box" / "inner" / "cpu.max", inner)
    assert machine.usable_cores() == cores


@pytest.mark.parametrize("place", ["box", "."], ids=["the host's path", "mounted at the top"])
def test_the_quota_of_version_1_holds(groups: Path, place: str) -> None:
    write(groups.parent / "own", VERSION_1)
    write(groups / "cpu,cpuacct" / place / "cpu.cfs_quota_us", "250000")
    write(groups / "cpu,cpuacct" / place / "cpu.cfs_period_us", "100000")
    assert machine.usable_cores() == 3
    write(groups / "cpu,cpuacct" / place / "cpu.cfs_quota_us", "-1")
    assert machine.usable_cores() == 64
