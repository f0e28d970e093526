"""Ray's folder is private and its own, Ray gets the cores that there are, and an idle process outlives its Ray."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labkit import run
from labkit.machine import usable_cores
from labkit.runtimes import ray_guard, ray_session
from labkit.runtimes.ray_session import close_session, open_session
from tests.runtimes.processes import running, wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

SOCKET_PATH_LIMIT = 107
POINTERS = ("ray_current_cluster", "session_latest")


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short temporary folder, in which another cluster has left its pointers."""
    close_session()
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("RAY_ADDRESS", "local")
    (folder / "ray").mkdir()
    for name in POINTERS:
        (folder / "ray" / name).write_text("another cluster's")
    yield folder
    close_session()
    shutil.rmtree(folder)


@pytest.fixture
def one_core() -> Iterator[None]:
    """Only one of the cores for this process and what it starts."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    yield
    os.sched_setaffinity(0, usual)


def part(session: ray_session.RaySession, sign: str) -> psutil.Process:
    pids = ray_guard.members(session._guard.pid)
    (process,) = (each for each in map(psutil.Process, pids) if sign in " ".join(each.cmdline()[:1]))
    return process


def test_a_session_is_private_and_leaves_nothing_and_its_owner_outlives_it(temporary: Path, one_core: None) -> None:
    session = open_session()
    folder, pids = Path(session.folder), ray_guard.members(session._guard.pid)
    assert folder.parent == temporary and stat.S_IMODE(folder.stat().st_mode) == 0o700
    sockets = [path for path in folder.rglob("*") if path.is_socket()]
    assert sockets and all(len(str(path)) <= SOCKET_PATH_LIMIT for path in sockets)
    assert part(session, "gcs_server").environ()["RAY_AUTH_MODE"] == "token"  # RAY_ADDRESS is "local", no less safe
    assert session.ask("cores") == usable_cores() == 1

    part(session, "gcs_server").kill()  # while nobody uses it
    wait_until(lambda: not folder.exists() and not running(pids), "everything of the idle session is gone", 10)
    assert "GCS" in session.gone

    result = run("quorums", runtime="ray", pairs=5)
    assert result.recording.incidents == []
    second = open_session()
    assert second is not session
    pids = ray_guard.members(second._guard.pid)
    assert [path.name for path in Path(second.folder).iterdir() if path.name.startswith("run-")] == []
    close_session()
    assert not running(pids)
    assert sorted(path.name for path in temporary.iterdir()) == ["ray"]
    assert [(temporary / "ray" / name).read_text() for name in POINTERS] == ["another cluster's"] * 2


def test_a_head_that_is_asked_to_end_and_hangs_is_given_up(temporary: Path) -> None:
    """GCS stops answering at SIGTERM, and then does not end."""
    session = open_session()
    head = part(session, "gcs_server")
    head.send_signal(signal.SIGTERM)
    wait_until(lambda: bool(session.gone), "the session is given up", 10)
    wait_until(lambda: not running([head.pid]) and not os.path.exists(session.folder), "it is cleared up", 15)
    assert not list(temporary.glob("labkit-*"))


def test_what_killed_guards_have_left_is_cleared_by_the_next_session(temporary: Path) -> None:
    for name in ("labkit-left", "labkit-held", "labkit-begun", "labkit-fresh"):
        (temporary / name).mkdir()
        if name != "labkit-begun":
            (temporary / name / ray_guard.LOCK).touch()
    (temporary / "labkit-left" / "run-1").mkdir()
    long_ago = time.time() - 10 * ray_session.STALE_SECONDS
    for name in ("labkit-left", "labkit-held", "labkit-begun"):
        os.utime(temporary / name, (long_ago, long_ago))
    with open(temporary / "labkit-held" / ray_guard.LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ray_session._clear_stale(temporary)
    assert sorted(path.name for path in temporary.glob("labkit-*")) == ["labkit-fresh", "labkit-held"]


def test_a_ray_that_was_imported_too_early_is_refused_and_does_not_hang() -> None:
    code = "import ray; from labkit.runtimes.ray_session import ray_session; ray_session()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "Ray was imported before labkit had started it" in done.stderr.splitlines()[-1]


def test_a_long_temporary_folder_is_not_used(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / ("x" * 40)))
    folder = Path(ray_session._private_folder())
    assert folder.parent in (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
    folder.rmdir()
