"""However a run on real processes ends, and on whatever cluster, nothing of it stays behind and nothing is hidden."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from labkit import run
from labkit.runtimes.wire import STRANGERS_LIMIT
from tests.runtimes.processes import running, wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
LONG = "labkit.run('quorums', runtime='ray', pairs=100_000, observe=lambda *_: print('ready', flush=True))"


@contextmanager
def a_long_run() -> Iterator[subprocess.Popen[str]]:
    """A Python process in the middle of a long run on real processes."""
    command = [sys.executable, "-c", f"import labkit; {LONG}"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def family(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def nodes_among(pids: list[int]) -> list[int]:
    return [pid for pid in pids if "NodeActor" in " ".join(psutil.Process(pid).cmdline())]


def test_ctrl_c_ends_a_run_and_everything_that_it_started() -> None:
    with a_long_run() as process:
        started = family(process.pid)
        assert len(nodes_among(started)) == 5
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
        assert "KeyboardInterrupt" in process.stderr.read()
    wait_until(lambda: not running(started), "everything that the run started has ended")


def test_a_killed_driver_takes_its_nodes_along_even_a_stopped_one() -> None:
    with a_long_run() as process:
        started = family(process.pid)
        os.kill(nodes_among(started)[0], signal.SIGSTOP)
        process.kill()
        process.wait(timeout=30)
    wait_until(lambda: not running(started), "everything that the run started has ended")
    assert not running(started)


def test_the_command_line_is_interrupted_with_its_own_exit_code() -> None:
    command = [sys.executable, "-m", "labkit", "run", "quorums", "--set", "pairs=1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: psutil.Process(process.pid).cpu_times().user > 1.0, "the run is under way")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == "labkit: interrupted\n"


def test_strangers_at_the_port_do_not_disturb_a_running_experiment() -> None:
    """Noise, floods and silence at every node's port, for as long as the experiment lasts."""
    over = threading.Event()
    crowd: list[threading.Thread] = []
    attempts: list[int] = []

    def pester(address: tuple[str, int], number: int) -> None:
        while not over.is_set():
            try:
                with socket.create_connection(address, timeout=2) as stranger:
                    stranger.sendall(os.urandom(1 + (number * 37 + len(attempts)) % 4000))
                    stranger.settimeout(0.05)
                    stranger.recv(4096)
            except OSError:
                pass
            attempts.append(number)
            over.wait(0.01)

    def observe(event: str, details: dict[str, Any]) -> None:
        for number, hello in enumerate(details["processes"].values()):
            crowd.append(threading.Thread(target=pester, args=(tuple(hello["address"]), number), daemon=True))
            crowd[-1].start()

    result = run("quorums", runtime="ray", read_quorum=2, write_quorum=2, pairs=200, observe=observe)
    over.set()
    for thread in crowd:
        thread.join(timeout=10)
    assert len(attempts) > 50
    assert all(operation.ok for operation in result.operations) and len(result.operations) == 400
    assert result.verdicts[0].status == "OK" and result.recording.incidents == []


def test_a_silent_crowd_at_every_port_changes_no_result_and_is_told() -> None:
    """More strangers than a node keeps, each without a word: the oldest go, and the peers come through."""
    crowd: list[socket.socket] = []

    def observe(event: str, details: dict[str, Any]) -> None:
        for hello in details["processes"].values():
            crowd.extend(socket.create_connection(tuple(hello["address"])) for _ in range(STRANGERS_LIMIT + 20))

    result = run("quorums", runtime="ray", read_quorum=2, write_quorum=2, pairs=100, timeout=5.0, observe=observe)
    for stranger in crowd:
        stranger.close()
    assert all(operation.ok for operation in result.operations) and len(result.operations) == 200
    assert result.verdicts[0].status == "OK"
    sentence = re.compile(r"strangers crowded the port of (\S+): \d+ were turned away, outside the fault plan")
    told = list(map(sentence.fullmatch, result.recording.incidents))
    assert {match[1] for match in told if match} == {"client-1", "client-2", "replica-1", "replica-2", "replica-3"}


TWO_RAYLETS = """
import json, os, signal, sys, threading
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0")
import logging; logging.getLogger("ray").setLevel(logging.ERROR)
from ray.cluster_utils import Cluster
lean = dict(num_cpus=1, include_dashboard=False, no_monitor=True, include_log_monitor=False,
            object_store_memory=78_643_200, node_ip_address="127.0.0.1")
cluster = Cluster(initialize_head=True, head_node_args=lean)
second = cluster.add_node(**lean)
os.environ["RAY_ADDRESS"] = cluster.address
import labkit
places = {}
def observe(event, details):
    places.update({name: hello["place"] for name, hello in details["processes"].items()})
    if sys.argv[1] == "kill" and second.node_id in places.values():
        raylet = second.all_processes["raylet"][0].process
        threading.Timer(1.0, raylet.kill).start()
for attempt in range(3):  # raylets learn of each other a little later than the driver does, and start nobody until then
    result = labkit.run("quorums", runtime="ray", pairs=300, mixed=True, keys=20, timeout=0.2, observe=observe)
    if second.node_id in places.values():
        break
print(json.dumps({"places": places, "second": second.node_id, "incidents": result.recording.incidents,
                  "outcomes": [operation.outcome for operation in result.operations]}))
import ray; ray.shutdown(); cluster.shutdown()
"""


def on_two_raylets(what: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", TWO_RAYLETS, what], capture_output=True, text=True, timeout=120, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timed
def test_a_run_spreads_over_the_nodes_of_a_cluster() -> None:
    found = on_two_raylets("leave")
    assert len(set(found["places"].values())) == 2
    assert found["incidents"] == [] and set(found["outcomes"]) == {"ok"}


@pytest.mark.timed
def test_a_killed_raylet_is_reported_as_the_failure_that_it_is() -> None:
    found = on_two_raylets("kill")
    lost = {name for name, place in found["places"].items() if place == found["second"]}
    assert lost
    assert {incident.split()[0] for incident in found["incidents"]} == lost
    assert all("its Ray node is gone, outside the fault plan" in incident for incident in found["incidents"])
    assert "ok" in found["outcomes"]


def command_line(*arguments: str, prelude: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    script = f"import sys; {prelude}\nfrom labkit.command_line import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT | variables,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize(
    ("prelude", "variables", "sentence"),
    [
        (
            "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n: None if n == 'ray' else f(n)",
            {},
            "Ray is not installed",
        ),
        ("import labkit.runtimes.ray_session as s; s.available_bytes = lambda: 10**8", {}, "too little memory for Ray"),
        ("", {"RAY_ADDRESS": "127.0.0.1:1"}, "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1"),
        ("", {"RAY_ADDRESS": "nonsense"}, "no Ray cluster answers at RAY_ADDRESS=nonsense"),
    ],
    ids=["no Ray", "too little memory", "unreachable", "not an address"],
)
def test_what_is_missing_is_one_sentence_and_exit_code_3(
    prelude: str, variables: dict[str, str], sentence: str
) -> None:
    done = command_line("run", "quorums", "--runtime", "ray", prelude=prelude, **variables)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith(f"labkit: {sentence}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def says(words: bytes, server: socket.socket) -> None:
    """Say `words` to the first who connects, and keep silent from then on."""
    connection, _ = server.accept()
    with connection, suppress(ConnectionResetError):
        connection.sendall(words)
        while connection.recv(4096):
            pass


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (b"", "no Ray cluster answers at RAY_ADDRESS={}: what listens there says nothing"),
        (b"220 mail.example ready\r\n", "no Ray cluster answers at RAY_ADDRESS={}: something else than Ray answers"),
        (bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), "Ray at RAY_ADDRESS={} did not let us join within 7 seconds"),
    ],
    ids=["mute", "a mail server", "greets like Ray, then keeps silent"],
)
def test_what_is_no_ray_is_said_in_one_sentence(words: bytes, sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=says, args=(words, server), daemon=True)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        sooner = "import labkit.runtimes.ray_session as s; s.JOIN_SECONDS = 7.0"
        done = command_line("run", "quorums", "--runtime", "ray", prelude=sooner, RAY_ADDRESS=address)
        thread.join(timeout=10)
    assert (done.returncode, done.stderr) == (3, f"labkit: {sentence.format(address)}\n")


def test_without_a_loopback_interface_ray_is_not_waited_for() -> None:
    alone = ["unshare", "--map-root-user", "--net"]  # a network of its own begins with nothing up
    if shutil.which(alone[0]) is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine gives no network of one's own")
    done = subprocess.run(
        [*alone, sys.executable, "-m", "labkit", "run", "quorums", "--runtime", "ray"],
        capture_output=True, text=True, timeout=60, env=ENVIRONMENT, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith("labkit: nothing can connect to 127.0.0.1 on this machine")
    assert len(done.stderr.splitlines()) == 1
