"""What the commands of the command line take, and the examples that their help shows."""

from __future__ import annotations

import argparse

from labkit.running import RUNTIMES

EXAMPLES = {
    "list": ["labkit list", "labkit list quorums"],
    "run": [
        "labkit run quorums",
        "labkit run quorums --set read_quorum=2 --set write_quorum=2 --seed 7",
        "labkit run quorums --runtime ray --set pairs=200 --set kill_after=1",
        "labkit run transactions --json --trace",
    ],
    "sweep": [
        "labkit sweep quorums --over read_quorum=1,2,3 --set pairs=100",
        "labkit sweep quorums --over read_after=0:0.12:7 --measure stale_reads --plot fading.svg",
    ],
    "ablations": ["labkit ablations leases", "labkit ablations quorums --seeds 20"],
    "shiviz": ["labkit shiviz quorums --set pairs=2", "labkit shiviz quorums --set pairs=2 | labkit shiviz --read -"],
    "bench": ["labkit bench --quick"],
    "doctor": ["labkit doctor"],
}
"""What the help shows; every line works as it stands, where `labkit` is on the path."""


def examples(*names: str) -> str:
    """The examples of these commands, as the end of a help text."""
    return "\n  ".join(["examples:", *(example for name in names for example in EXAMPLES[name])])


def for_list(command: argparse.ArgumentParser) -> None:
    """The arguments of `list`."""
    command.add_argument("experiment", nargs="?", help="show one experiment's dials")


def for_run(command: argparse.ArgumentParser) -> None:
    """The arguments of `run`."""
    command.add_argument("experiment", metavar="EXPERIMENT")
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial")
    command.add_argument("--runtime", default="simulated", help=" or ".join(RUNTIMES))
    command.add_argument(
        "--seed", default="0", help="a whole number from 0 up; the same seed gives the same simulation"
    )
    command.add_argument("--trace", action="store_true", help="with --json: add every message and note")


def for_sweep(command: argparse.ArgumentParser) -> None:
    """The arguments of `sweep`."""
    command.add_argument("experiment", metavar="EXPERIMENT")
    command.add_argument("--over", action="append", default=[], metavar="NAME=A:B:STEPS", help="or NAME=V,V,…")
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial")
    command.add_argument("--seeds", default="10", help="how many seeds, from 0 up")
    command.add_argument(
        "--measure", action="append", default=[], metavar="NAME", help="a column of the table; may be repeated"
    )
    command.add_argument("--plot", metavar="FILE", help="draw the first measure against the first dial; .svg or .png")
    command.add_argument("--serial", action="store_true", help="use one core and no Ray")


def for_ablations(command: argparse.ArgumentParser) -> None:
    """The arguments of `ablations`."""
    command.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="without any: all experiments")
    command.add_argument("--seeds", default="100", help="how many seeds to try, from 0 up")


def for_shiviz(command: argparse.ArgumentParser) -> None:
    """The arguments of `shiviz`."""
    command.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="the experiment to run and write")
    command.add_argument("--seed", default="0", help="the run's seed")
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial")
    command.add_argument("--read", metavar="FILE", help="sum up a log instead, of any system; - is standard input")
    command.add_argument("--parser", help="the log's regular expression, as ShiViz takes it")


def for_bench(command: argparse.ArgumentParser) -> None:
    """The arguments of `bench`."""
    command.add_argument("--quick", action="store_true", help="fewer repetitions")


def none(command: argparse.ArgumentParser) -> None:
    """Nothing but what every command takes."""
