"""Ray itself: started lean for this process, or connected to through RAY_ADDRESS; gone when the process is."""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import secrets
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from labkit.errors import MissingComponent

OBJECT_STORE_BYTES = 78_643_200
"""The least that Ray accepts; labkit keeps nothing in its object store."""

NEEDED_BYTES = 600_000_000
"""Memory that an empty Ray and five nodes take."""

LOOPBACK = "127.0.0.1"

CONNECT_SECONDS = 3.0

_cluster: Any = None
_guard: Any = None


def ray_session() -> Any:
    """The `ray` module, connected: to the cluster of RAY_ADDRESS if that is set, else to one of this process's own.

    The first call takes some seconds, later ones none. Raises `MissingComponent` if Ray is not installed, cannot be
    reached, or finds too little memory.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingComponent("Ray is not installed: `pip install 'labkit[labs]'` brings it")
    _set_environment()
    import ray

    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS", "")
        if address and address != "local":
            _connect(ray, address)
        else:
            _start(ray)
        _keep_off_standard_output(ray)
    return ray


def close_session() -> None:
    """Stop the Ray that `ray_session` started, or leave the one that it joined."""
    global _cluster, _guard
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray.shutdown()
    if _cluster is not None:
        _cluster.shutdown()
        _cluster = None
    if _guard is not None:
        _guard.stdin.close()
        _guard.wait()
        _guard = None


def available_bytes() -> int | None:
    """Memory that could still be taken, by the machine's count and by the container's limit; None if unknown."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())  # "max", which is no number, means that there is none
        found.append(limit - int((group / "memory.current").read_text()))
    return min(found, default=None)


def _set_environment() -> None:
    # Before the first import of ray, which reads some of these once.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    if not os.environ.get("RAY_ADDRESS"):
        # Ray starts an idle process for each core, in case; here every process is a node somebody asked for.
        os.environ.setdefault("RAY_enable_worker_prestart", "0")
        os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
        # Ray's own switch for "this machine alone": without it, it listens on every interface.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _start(ray: Any) -> None:
    global _cluster
    available = available_bytes()
    if available is not None and available < NEEDED_BYTES:
        raise MissingComponent(
            f"too little memory for Ray: {available / 1e6:.0f} MB are free, about {NEEDED_BYTES / 1e6:.0f} MB needed"
        )
    # ray.init would add a monitor and a log monitor, some 100 MB and a second that nothing here needs.
    from ray.cluster_utils import Cluster

    head = {
        "num_cpus": os.cpu_count() or 1,
        "include_dashboard": False,
        "no_monitor": True,
        "include_log_monitor": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "node_ip_address": LOOPBACK,
    }
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        _cluster = Cluster(initialize_head=True, head_node_args=head)
        ray.init(address=_cluster.address, _node_ip_address=LOOPBACK, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        close_session()
        raise MissingComponent(f"Ray did not start: {_first_line(error)}") from error
    _set_guard(_cluster.head_node.all_processes["raylet"][0].process.pid)
    atexit.register(close_session)


def _set_guard(raylet: int) -> None:
    # If this process is killed, Ray's own processes die with it, but for the raylet's two agents: they look for the
    # head for another minute. A shell that waits for the end of our pipe ends them at once.
    global _guard
    children = Path(f"/proc/{raylet}/task/{raylet}/children")
    with suppress(OSError):
        agents = children.read_text().split()
        script = 'read -r _; [ $# -gt 0 ] && kill -9 "$@" 2>/dev/null; true'
        _guard = subprocess.Popen(
            ["/bin/sh", "-c", script, "guard", *agents], stdin=subprocess.PIPE, start_new_session=True
        )


def _keep_off_standard_output(ray: Any) -> None:
    # Ray reports the death of workers on standard output, where a run's JSON belongs.
    worker = ray._private.worker
    report = getattr(worker, "print_to_stdstream", None)
    if report is not None:
        worker.print_to_stdstream = lambda data, **options: report({**data, "is_err": True}, **options)


def _connect(ray: Any, address: str) -> None:
    if address != "auto" and "://" not in address:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except (OSError, ValueError, OverflowError) as error:
            raise MissingComponent(f"no Ray cluster answers at RAY_ADDRESS={address}: {_first_line(error)}") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        raise MissingComponent(f"cannot join the Ray cluster at RAY_ADDRESS={address}: {_first_line(error)}") from error
    atexit.register(close_session)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
