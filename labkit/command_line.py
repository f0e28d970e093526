"""The command line: every experiment without a notebook, JSON on request.

Exit codes: 0 done; 1 an error of another program's; 2 bad input; 3 something is missing on this machine; 4 node code
failed; 5 a run timed out; 6 something happened outside the fault plan; 7 a safeguard was taken out and no checker
noticed, or one was in place and did not hold; 8 no space was left for the output; 9 the clocks
of a log contradict each other; 128 and the signal's number if one has ended it: 130 by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from labkit.dials import AnyDial, parse, suggestion
from labkit.ending import like_ctrl_c
from labkit.errors import BadInput, LabkitError
from labkit.lab import Experiment, catalogue, find
from labkit.results import Result
from labkit.running import RUNTIMES, run

INCIDENT_EXIT = 6
NOT_CAUGHT_EXIT = 7
NO_SPACE_EXIT = 8
INCONSISTENT_EXIT = 9
SIGNALLED_EXIT = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every foreseen error is one sentence on standard error."""
    with like_ctrl_c() as signalled_by:
        try:
            return _command(arguments)
        except KeyboardInterrupt:
            which = signalled_by()
            _say("interrupted" if which is signal.SIGINT else f"ended by {which.name}")
            return SIGNALLED_EXIT + which


def _say(sentence: str) -> None:
    try:
        print(f"labkit: {sentence}", file=sys.stderr, flush=True)
    except OSError:
        pass  # the terminal is gone, which is why SIGHUP came


def _command(arguments: Sequence[str] | None) -> int:
    try:
        chosen = _parser().parse_args(arguments)
        code = chosen.command(chosen)
        sys.stdout.flush()  # here, where a reader that has gone is no error
        return code
    except LabkitError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (head, say) has had enough.
        _leave_nothing_to_flush()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("labkit: no space is left for the output", file=sys.stderr)
        _leave_nothing_to_flush()
        return NO_SPACE_EXIT


def _leave_nothing_to_flush() -> None:
    # Python would flush at its exit, and fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m labkit", description="Executable labs on distributed systems.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="the experiments, or one experiment's dials")
    listing.add_argument("experiment", nargs="?", help="show one experiment's dials")
    listing.set_defaults(command=_list)

    running = commands.add_parser("run", help="run one experiment")
    running.add_argument("--runtime", default="simulated", help=" or ".join(RUNTIMES))
    running.add_argument(
        "--seed", default="0", help="a whole number from 0 up; the same seed gives the same simulation"
    )
    running.add_argument("--trace", action="store_true", help="with --json: add every message and note")
    running.set_defaults(command=_run)

    sweeping = commands.add_parser("sweep", help="run one experiment over a range of dials and many seeds")
    sweeping.add_argument("--over", action="append", default=[], metavar="NAME=A:B:STEPS", help="or NAME=V,V,…")
    sweeping.add_argument("--seeds", default="10", help="how many seeds, from 0 up")
    sweeping.add_argument("--serial", action="store_true", help="use one core and no Ray")
    sweeping.set_defaults(command=_sweep)
    for command in (running, sweeping):
        command.add_argument("experiment", metavar="EXPERIMENT")
        command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial")

    ablating = commands.add_parser("ablations", help="take safeguards out, and see which seed makes a checker notice")
    ablating.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="without any: all experiments")
    ablating.add_argument("--seeds", default="100", help="how many seeds to try, from 0 up")
    ablating.set_defaults(command=_ablations)

    exporting = commands.add_parser("shiviz", help="write a run as a log for ShiViz, or read such a log")
    exporting.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="the experiment to run and write")
    exporting.add_argument("--seed", default="0", help="the run's seed")
    exporting.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="set a dial")
    exporting.add_argument("--read", metavar="FILE", help="sum up a log instead, of any system; - is standard input")
    exporting.add_argument("--parser", help="the log's regular expression, as ShiViz takes it")
    exporting.set_defaults(command=_shiviz)

    bench = commands.add_parser("bench", help="measure labkit itself, as ratios within one run")
    bench.add_argument("--quick", action="store_true", help="fewer repetitions")
    bench.set_defaults(command=_bench)
    doctor = commands.add_parser("doctor", help="what this machine has, what is missing, how to get it")
    doctor.set_defaults(command=_doctor)
    for command in (listing, running, sweeping, ablating, exporting, bench, doctor):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _list(chosen: argparse.Namespace) -> int:
    found = [find(chosen.experiment)] if chosen.experiment else list(catalogue().values())
    if chosen.json:
        print(json.dumps([_described(experiment) for experiment in found], indent=2))
        return 0
    widest = max(len(experiment.name) for experiment in found)
    for experiment in found:
        print(f"{experiment.name:{widest}}  {experiment.summary.splitlines()[0]}")
        names = max(map(len, experiment.dials))
        for name, dial in experiment.dials.items() if chosen.experiment else ():
            print(f"    {name:{names}}  {dial.help}; {dial.allowed} (default {_text(dial.default)})")
    return 0


def _described(experiment: Experiment) -> dict[str, Any]:
    dials = {
        name: {"default": dial.default, "allowed": dial.allowed, "unit": dial.unit, "help": dial.help}
        for name, dial in experiment.dials.items()
    }
    return {"name": experiment.name, "title": experiment.title, "guide": experiment.guide, "dials": dials}


def _run(chosen: argparse.Namespace) -> int:
    experiment = find(chosen.experiment)
    settings = _settings(experiment, chosen.set)
    seed = _whole("seed", chosen.seed, 0)
    result = run(experiment, runtime=chosen.runtime, seed=seed, **settings)
    print(result.to_json(chosen.trace) if chosen.json else _summary(result))
    for incident in result.recording.incidents:
        print(f"labkit: {incident}", file=sys.stderr)
    return INCIDENT_EXIT if result.recording.incidents else 0


def _summary(result: Result) -> str:
    lines = [f"{result.experiment} ({result.runtime}, seed {result.seed}): {len(result.operations)} operations"]
    lines += [f"  {m.name:26} {m!s:>12}  {m.help}" for m in result.measures.values()]
    return "\n".join([*lines, *(f"  {verdict}" for verdict in result.verdicts)])


def _sweep(chosen: argparse.Namespace) -> int:
    from labkit.sweeping import sweep

    experiment = find(chosen.experiment)
    if not chosen.over:
        raise BadInput("sweep needs at least one --over NAME=A:B:STEPS or --over NAME=V,V,…")
    over = dict(_range(experiment, text) for text in chosen.over)
    fixed = _settings(experiment, chosen.set)
    found = sweep(
        experiment.name,
        over,
        seeds=_whole("seeds", chosen.seeds, 1),
        parallel=False if chosen.serial else None,
        progress=sys.stderr.isatty(),
        **fixed,
    )
    if chosen.json:
        print(found.to_json())
        return 0
    for point in found.points:
        print(", ".join(f"{name}={_text(value)}" for name, value in point.parameters.items()))
        for name, estimate in point.estimates.items():
            print(f"  {name:26} {estimate.mean:10.4g}  [{estimate.low:.4g}, {estimate.high:.4g}]")
        if point.failures:
            print(f"  seeds that a checker found illegal: {', '.join(map(str, point.failing_seeds))}")
    return 0


def _ablations(chosen: argparse.Namespace) -> int:
    from labkit.ablations import hunt_all

    seeds = _whole("seeds", chosen.seeds, 1)
    found = hunt_all(chosen.experiments, seeds, progress=sys.stderr.isatty())
    print(found.to_json() if chosen.json else found)
    return 0 if all(each.is_caught for each in found) else NOT_CAUGHT_EXIT


def _shiviz(chosen: argparse.Namespace) -> int:
    from labkit.shiviz import PARSER, export, load

    if (chosen.experiment is None) == (chosen.read is None):
        raise BadInput("shiviz needs either an EXPERIMENT to run and write, or --read FILE")
    if chosen.experiment:
        experiment = find(chosen.experiment)
        settings = _settings(experiment, chosen.set)
        text = export(run(experiment, seed=_whole("seed", chosen.seed, 0), **settings))
        print(json.dumps({"parser": PARSER, "log": text}) if chosen.json else text, end="" if not chosen.json else "\n")
        return 0
    log = load(_text_of(chosen.read), chosen.parser)
    print(json.dumps(log.to_dict()) if chosen.json else log.summary())
    return INCONSISTENT_EXIT if log.inconsistency else 0


def _text_of(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise BadInput(f"--read is {name!r}: it cannot be read ({reason})") from None


def _bench(chosen: argparse.Namespace) -> int:
    from labkit.benchmarks import bench

    figures = bench(quick=chosen.quick)
    if chosen.json:
        print(json.dumps(figures, indent=2))
        return 0
    for name, value in figures.items():
        print(f"{name:44} {value:12.4g}")
    return 0


def _doctor(chosen: argparse.Namespace) -> int:
    from labkit.doctor import examine

    findings = examine()
    if chosen.json:
        print(json.dumps([finding.__dict__ for finding in findings], indent=2))
        return 0
    for finding in findings:
        print(f"{'ok     ' if finding.ok else 'missing'}  {finding.name:18} {finding.found}")
        if not finding.ok:
            print(f"{'':27}{finding.remedy}")
    return 0


def _settings(experiment: Experiment, texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, value = _setting(experiment, text)
        if name in found:
            raise BadInput(f"--set is {text!r}: {name} has been set before, to {_text(found[name])}")
        found[name] = value
    return found


def _setting(experiment: Experiment, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--set is {text!r}: it must be NAME=VALUE")
    return name, parse(name, _dial(experiment, name), value)


def _range(experiment: Experiment, text: str) -> tuple[str, list[Any]]:
    name, equals, values = text.partition("=")
    dial = _dial(experiment, name)
    parts = values.split(":")
    if equals and len(parts) == 1:
        return name, [parse(name, dial, value) for value in values.split(",")]
    if not equals or len(parts) != 3:
        raise BadInput(f"--over is {text!r}: it must be NAME=A:B:STEPS or NAME=V,V,…")
    low, high, steps = parse(name, dial, parts[0]), parse(name, dial, parts[1]), _whole("STEPS", parts[2], 2)
    if isinstance(low, (str, bool)):
        raise BadInput(f"--over is {text!r}: {name} has no range; list its values, NAME=V,V,…")
    points = [low + (high - low) * step / (steps - 1) for step in range(steps)]
    return name, list(dict.fromkeys(round(p) for p in points)) if isinstance(low, int) else points


def _dial(experiment: Experiment, name: str) -> AnyDial:
    if name not in experiment.dials:
        raise BadInput(f"{experiment.name} has no dial {name!r}: {suggestion(name, experiment.dials)}")
    return experiment.dials[name]


def _whole(name: str, text: str, least: int | None) -> int:
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or (least is not None and value < least):
        limit = "" if least is None else f" of at least {least}"
        raise BadInput(f"{name} is {text!r}: it must be a whole number{limit}")
    return value


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
