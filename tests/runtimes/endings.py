"""Ends runs on real processes at random moments, and looks at what is left of them. Also a program: `--count 60`.

A run has a host (a command in a shell, or a notebook's kernel). A victim among its processes gets a signal. Then the
host must come to an end of the run by itself, with one sentence where somebody can read it; and once the session is
over, no process, no listening port and no folder of it may be left after `CLEAN_SECONDS`.
"""

from __future__ import annotations

import argparse
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
CLEAN_SECONDS = 10.0
PATIENCE_SECONDS = 90.0
PAIRS = 500
"""A run of about five seconds, if nothing ends it."""
NODES = 5

VICTIMS = ("driver", "node", "raylet", "GCS", "agent", "broker", "guard", "worker")
"""A worker is a process that is yet to become a node."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
CELL = f"""
import labkit
kept = 41
result = labkit.run("quorums", runtime="ray", pairs={PAIRS})
print(len(result.operations), "operations;", *result.recording.incidents)
"""


@dataclass
class Ending:
    """One attack: on whom, by what, and how long after it is first seen, or the run begins; then how it went."""

    host: str
    victim: str
    signal: signal.Signals
    phase: str  # boot or run
    delay: float
    code: str = ""
    told: str = ""
    clean_after: float = 0.0
    left: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        what = f"{self.host:6} {self.victim:6} {self.signal.name:7} {self.phase:4} + {self.delay:4.2f} s"
        how = "ok " if not self.complaints and not self.left else "BAD"
        return f"{how} {what}  {self.code:9} clean after {self.clean_after:4.1f} s  {self.told} {self.complaints or ''}"


class Family:
    """Every process that the host has started, as far as ever seen, with ports and folders."""

    def __init__(self, host: int):
        self._host = psutil.Process(host)
        self._seen: dict[int, psutil.Process] = {}
        self._ports: set[int] = set()
        self.folders: set[str] = set()

    def look(self) -> None:
        """See who is there now."""
        with suppress(psutil.Error):
            for process in self._host.children(recursive=True):
                self._seen.setdefault(process.pid, process)
        for process in self._seen.values():
            with suppress(psutil.Error, IndexError):
                arguments = process.cmdline()
                if any("ray_guard" in argument for argument in arguments):
                    self.folders.add(arguments[4])
                self._ports |= {each.laddr.port for each in process.net_connections() if each.status == "LISTEN"}

    def living(self, victim: str) -> list[psutil.Process]:
        """The processes that play a part."""
        return [process for process in self._seen.values() if _runs(process) and self._part(process) == victim]

    def left(self) -> list[str]:
        """What has not gone."""
        processes = [f"{process.pid} {self._part(process)}" for process in self._seen.values() if _runs(process)]
        return processes + [folder for folder in self.folders if os.path.exists(folder)] + list(self._open_ports())

    def end(self) -> None:
        """Kill what is left, so that the next attack begins clean."""
        for process in self._seen.values():
            with suppress(psutil.Error):
                process.kill()

    def _part(self, process: psutil.Process) -> str:
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            parts = {"gcs_server ": "GCS", "raylet/raylet ": "raylet", "NodeActor": "node"}
            parts |= {"_worker.py": "worker", "agent.py": "agent", "agent/main.py": "agent", "Agent": "agent"}
            if "ray_guard" in command:
                return "broker" if "ray_guard" in " ".join(process.parent().cmdline()) else "guard"
            return next((part for sign, part in parts.items() if sign in command), command[:60] or process.name())
        return "gone"

    def _open_ports(self) -> Iterator[str]:
        for each in psutil.net_connections("tcp"):
            if each.status == "LISTEN" and each.laddr.port in self._ports and each.pid in self._seen:
                yield f"port {each.laddr.port}"


class Shell:
    """`labkit run` as a shell starts it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "labkit", "run", "quorums", "--runtime", "ray", "--set", f"pairs={PAIRS}"]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (`close` does)
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=self._errors, cwd=ROOT, env=ENVIRONMENT, start_new_session=True,
            preexec_fn=ignore_nothing,
        )  # fmt: skip
        self.pid = self._process.pid

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def report(self, ending: Ending) -> None:
        code = self._process.wait(PATIENCE_SECONDS)
        self._errors.seek(0)
        lines = self._errors.read().splitlines()
        ending.code, ending.told = f"exit {code}", "; ".join(lines)
        expected = {"driver": _CODES_OF_DRIVER[ending.signal]}.get(ending.victim, (0, 3, 6))
        if code not in expected:
            ending.complaints.append(f"exit {code}, not one of {expected}")
        if (code > 0 and not lines) or any(not line.startswith("labkit: ") for line in lines):
            ending.complaints.append("not told in a sentence")
        if code in (0, 3, 130, 143) and len(lines) > 1:
            ending.complaints.append("more than one sentence")

    def strike(self, which: signal.Signals) -> None:
        self._process.send_signal(which)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()


class Kernel:
    """A notebook's kernel, in the middle of a cell."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self._manager, self._client = start_new_kernel(cwd=str(ROOT), env=ENVIRONMENT)
        self.pid = self._manager.provisioner.pid
        self._request = self._client.execute(CELL)
        self._reply: dict[str, Any] | None = None
        self._output: list[str] = []

    def is_over(self) -> bool:
        if self._reply is None and psutil.pid_exists(self.pid) and _runs(psutil.Process(self.pid)):
            with suppress(queue.Empty):
                message = self._client.get_shell_msg(timeout=0)
                if message["parent_header"].get("msg_id") == self._request:
                    self._reply = message["content"]
            return self._reply is not None
        return True

    def report(self, ending: Ending) -> None:
        if self._reply is None:
            ending.code = "kernel dead"
            if ending.victim != "driver":
                ending.complaints.append("the kernel died")
            return
        self._read_output()
        ending.code = self._reply["status"]
        if ending.code == "error":
            ending.told = f"{self._reply['ename']}: {self._reply['evalue']}".splitlines()[0]
            if self._reply["ename"] not in ("MissingComponent", "KeyboardInterrupt"):
                ending.complaints.append("another error than expected")
        else:
            ending.told = " ".join(self._output).strip()
        if not self._still_answers():
            ending.complaints.append("the kernel has lost its variables")

    def strike(self, which: signal.Signals) -> None:
        os.kill(self.pid, which)

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _read_output(self) -> None:
        with suppress(queue.Empty):
            while True:
                content = self._client.get_iopub_msg(timeout=0.5)["content"]
                self._output += [content["text"]] if "text" in content else []

    def _still_answers(self) -> bool:
        reply = self._client.execute_interactive("assert kept == 41", timeout=30, output_hook=lambda message: None)
        return reply["content"]["status"] == "ok" or self._reply["ename"] == "KeyboardInterrupt"


_CODES_OF_DRIVER = {
    signal.SIGKILL: (-signal.SIGKILL,),
    signal.SIGINT: (128 + signal.SIGINT,),
    signal.SIGTERM: (128 + signal.SIGTERM,),
    signal.SIGHUP: (128 + signal.SIGHUP,),
}
"""By INT, TERM and HUP also while it still imports: then it is Python that ends, by the signal itself."""


def ignore_nothing() -> None:
    """Take signals as a program in a terminal does: what we ignore, being in the background, is inherited."""
    for each in (signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


HOSTS = {"shell": Shell, "kernel": Kernel}


def attack(ending: Ending, chance: random.Random) -> Ending:
    """Carry out one attack, and fill in how it went."""
    host = HOSTS[ending.host]()
    family = Family(host.pid)
    try:
        _strike(ending, host, family, chance)
        _wait(family, PATIENCE_SECONDS, host.is_over)
        if not host.is_over():
            ending.complaints.append(f"not over after {PATIENCE_SECONDS:g} s")
        ended = time.monotonic()
        host.report(ending)
        if (ending.host == "kernel" and ending.victim in ("driver", "node")) or ending.code == "ok":
            host.close()  # its Ray is there for the next cell, as long as the kernel is
            ended = time.monotonic()
        _wait(family, CLEAN_SECONDS, lambda: not family.left())
        ending.clean_after = time.monotonic() - ended
        ending.left = family.left()
        if ending.left:
            ending.complaints.append(f"left: {ending.left}")
    finally:
        host.close()
        family.end()
    return ending


def _strike(ending: Ending, host: Any, family: Family, chance: random.Random) -> None:
    def is_there() -> bool:
        if ending.phase == "run":
            return len(family.living("node")) >= NODES
        return ending.victim == "driver" or bool(family.living(ending.victim))

    _wait(family, PATIENCE_SECONDS, lambda: is_there() or host.is_over())
    _wait(family, ending.delay, host.is_over)
    if ending.victim == "driver":
        return host.strike(ending.signal)
    living = family.living(ending.victim)
    if not living and not host.is_over() and ending.victim != "worker":  # it may have become a node meanwhile
        ending.complaints.append("nobody to strike")
    with suppress(psutil.Error, IndexError):
        chance.choice(living).send_signal(ending.signal)


def _wait(family: Family, seconds: float, until: Any) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        family.look()
        time.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def random_endings(count: int, chance: random.Random) -> Iterator[Ending]:
    """Attacks that come around to every victim, with signals, hosts and moments at random."""
    for number in range(count):
        victim = VICTIMS[number % len(VICTIMS)]
        host, which, phase = chance.choice(tuple(HOSTS)), chance.choice(SIGNALS), chance.choice(("boot", "run", "run"))
        if victim == "worker":
            yield Ending(host, victim, which, "boot", round(chance.uniform(0.0, 0.5), 2))
        else:
            yield Ending(host, victim, which, phase, round(chance.uniform(0.0, 4.0), 2))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="skip so many")
    chosen = parser.parse_args()
    ignore_nothing()
    verdicts: Counter[bool] = Counter()
    for number, ending in enumerate(random_endings(chosen.count, random.Random(chosen.seed))):
        if number >= chosen.first:
            done = attack(ending, random.Random(chosen.seed + number))
            verdicts[not done.complaints] += 1
            print(f"{number:3}", done, flush=True)
    print(f"{verdicts[True]} clean, {verdicts[False]} not")
    return int(bool(verdicts[False]))


if __name__ == "__main__":
    sys.exit(main())
