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
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from labkit import arguments
from labkit.dials import AnyDial, parse, suggestion, why_idle
from labkit.ending import like_ctrl_c
from labkit.errors import BadInput, LabkitError, MissingComponent
from labkit.lab import Experiment, catalogue, find
from labkit.results import HOLDS, ILLEGAL, Verdict
from labkit.running import run
from labkit.sweeping import Running, run_job
from labkit.tables import left_out
from labkit.wording import count

if TYPE_CHECKING:
    from labkit.sweeping import Sweep

INCIDENT_EXIT = 6
PICTURES = (".svg", ".png")
NOT_CAUGHT_EXIT = 7
NO_SPACE_EXIT = 8
INCONSISTENT_EXIT = 9
SIGNALLED_EXIT = 128

COLOURS, UNSURE = {HOLDS: 32, ILLEGAL: 31}, 33
"""Green, red and yellow, as terminals number them."""


def main(given: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every foreseen error is one sentence on standard error."""
    with like_ctrl_c() as signalled_by:
        try:
            return _command(given)
        except KeyboardInterrupt:
            which = signalled_by()
            _say("interrupted" if which is signal.SIGINT else f"ended by {which.name}")
            return SIGNALLED_EXIT + which


def _say(sentence: str) -> None:
    try:
        print(f"labkit: {sentence}", file=sys.stderr, flush=True)
    except OSError:
        pass  # the terminal is gone, which is why SIGHUP came


def _command(given: Sequence[str] | None) -> int:
    try:
        chosen = _parser().parse_args(given)
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
    parser = _Parser(
        prog="labkit",
        description="Executable labs on distributed systems.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=arguments.examples("list", "run", "sweep", "ablations"),
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (sentence, function, add_arguments) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=sentence,
            description=sentence[0].upper() + sentence[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=arguments.examples(name),
        )
        add_arguments(command)
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(command=function)
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
            needs = "".join(f"; {need.told(experiment.dials[need.dial])}" for need in [dial.needs] if need)
            print(f"    {name:{names}}  {dial.help}; {dial.allowed} (default {_text(dial.default)}){needs}")
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
    with Running(sys.stderr.isatty()) as progress:
        result = run(experiment, runtime=chosen.runtime, seed=seed, progress=progress, **settings)
    print(result.to_json(chosen.trace) if chosen.json else _coloured(str(result), result.verdicts))
    for name in settings:
        if why := why_idle(name, experiment.dials, result.parameters):
            print(f"labkit: {name}: {why}", file=sys.stderr)
    for incident in result.recording.incidents:
        print(f"labkit: {incident}", file=sys.stderr)
    return INCIDENT_EXIT if result.recording.incidents else 0


def _coloured(text: str, verdicts: Iterable[Verdict]) -> str:
    """The text with the words of its verdicts in colour, on a terminal that wants any (see no-color.org)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    for verdict in verdicts:
        said = f"{verdict.property}: "
        word = f"\x1b[1;{COLOURS.get(verdict.status, UNSURE)}m{verdict.word}\x1b[0m"
        text = text.replace(f"  {said}{verdict.word}", f"  {said}{word}", 1)
    return text


def _sweep(chosen: argparse.Namespace) -> int:
    from labkit.sweeping import sweep

    experiment = find(chosen.experiment)
    if not chosen.over:
        raise BadInput("sweep needs at least one --over NAME=A:B:STEPS or --over NAME=V,V,…")
    picture = _picture(chosen.plot)
    over = _grid(experiment, chosen.over)
    fixed = _settings(experiment, chosen.set)
    for name in fixed:
        if name in over:
            raise BadInput(f"--set is '{name}={_text(fixed[name])}': {name} is swept by --over")
    if picture is not None and len(over) > 2:
        raise BadInput(f"--plot draws one or two dials, and --over names {len(over)}")
    seeds = _whole("seeds", chosen.seeds, 1)
    if chosen.measure:
        first = {name: values[0] for name, values in over.items()}
        _check_measures(experiment, chosen.measure, {**fixed, **first})
    found = sweep(
        experiment.name,
        over,
        seeds=seeds,
        parallel=False if chosen.serial else None,
        progress=sys.stderr.isatty(),
        **fixed,
    )
    if chosen.json:
        print(found.to_json())
    else:
        _print_table(found, chosen.measure)
    if picture is not None:  # last: if it cannot be drawn, the numbers are there
        _draw(found, chosen.measure, picture)
    return 0


def _print_table(found: Sweep, measures: Sequence[str]) -> None:
    table = found.table(*measures)
    print(table)
    hidden = 0 if measures else left_out(found, table)
    if hidden:
        print(f"and {count(hidden, 'more measure')}: --measure NAME shows one, --json all")
    for seed, why in _first_failures(found):
        print(f"seed {seed}: {why}")


def _check_measures(experiment: Experiment, measures: Sequence[str], values: dict[str, Any]) -> None:
    # Measures have no names before there is a run: one, rather than to learn of a wrong name after all of them.
    known, _ = run_job((experiment.name, values, 0))
    for name in measures if known else ():
        if name not in known:
            raise BadInput(f"there is no measure {name!r}: {suggestion(name, known)}")


def _first_failures(sweep: Sweep) -> list[tuple[int, str]]:
    # One a point: the table names the others.
    return [next(iter(point.failures.items())) for point in sweep.points if point.failures]


def _picture(name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name)
    if path.suffix not in PICTURES:
        raise BadInput(f"--plot is {name!r}: its name must end in {' or '.join(PICTURES)}")
    if not path.parent.is_dir():
        raise BadInput(f"--plot is {name!r}: there is no folder {str(path.parent)!r}")
    if find_spec("matplotlib") is None:
        raise MissingComponent("--plot needs matplotlib: install labkit[labs]")
    return path


def _draw(sweep: Sweep, measures: Sequence[str], path: Path) -> None:
    from labkit.figures import measure_against

    x, *by = sweep.points[0].parameters
    known = [name for point in sweep.points for name in point.estimates]
    if not known:
        raise BadInput(f"--plot is {str(path)!r}: no run has ended, so there is nothing to draw")
    measure = measures[0] if measures else known[0]
    figure = measure_against(sweep, x, measure, by=by[0] if by else None)
    try:
        figure.savefig(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise BadInput(f"--plot is {str(path)!r}: it cannot be written ({error.strerror})") from None


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


def _grid(experiment: Experiment, texts: Sequence[str]) -> dict[str, list[Any]]:
    over: dict[str, list[Any]] = {}
    for text in texts:
        name, values = _range(experiment, text)
        if name in over:
            raise BadInput(f"--over is {text!r}: {name} is swept already")
        over[name] = values
    return over


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


_COMMANDS: dict[str, tuple[str, Callable[..., int], Callable[..., None]]] = {
    "list": ("the experiments, or one experiment's dials", _list, arguments.for_list),
    "run": ("run one experiment", _run, arguments.for_run),
    "sweep": ("run one experiment over a range of dials and many seeds", _sweep, arguments.for_sweep),
    "ablations": (
        "take safeguards out, and see which seed makes a checker notice",
        _ablations,
        arguments.for_ablations,
    ),
    "shiviz": ("write a run as a log for ShiViz, or read such a log", _shiviz, arguments.for_shiviz),
    "bench": ("measure labkit itself, as ratios within one run", _bench, arguments.for_bench),
    "doctor": ("what this machine has, what is missing, how to get it", _doctor, arguments.none),
}
"""By name: what a command does, in a sentence; the function; and what adds its arguments."""
