"""The command line: JSON on request, one sentence for whatever is wrong, and an exit code that says which."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labkit.arguments import EXAMPLES
from labkit.command_line import INCONSISTENT_EXIT, NO_SPACE_EXIT, main

ROOT = Path(__file__).parents[1]

BAD_INPUT = [
    (["run", "quorum"], "there is no experiment 'quorum': did you mean 'quorums'?"),
    (["run", "zzz"], "there is no experiment 'zzz': there are "),
    (["list", "zzz"], "there is no experiment 'zzz'"),
    (["sweep", "zzz", "--over", "a=1,2"], "there is no experiment 'zzz'"),
    (["run", "quorums", "--set", "replica=3"], "quorums has no dial 'replica': did you mean 'replicas'?"),
    (["run", "quorums", "--set", "replicas"], "--set is 'replicas': it must be NAME=VALUE"),
    (["run", "quorums", "--set", "=3"], "quorums has no dial ''"),
    (["run", "quorums", "--set", "replicas=10"], "replicas is '10': it must be a whole number from 1 to 9"),
    (["run", "quorums", "--set", "replicas=0"], "replicas is '0': it must be a whole number from 1 to 9"),
    (["run", "quorums", "--set", "replicas=2.5"], "replicas is '2.5': it must be a whole number from 1 to 9"),
    (["run", "quorums", "--set", "replicas=three"], "replicas is 'three': it must be a whole number from 1 to 9"),
    (["run", "quorums", "--set", "replicas="], "replicas is '': it must be a whole number from 1 to 9"),
    (["run", "quorums", "--set", "loss=nan"], "loss is 'nan': it must be a number from 0 to 0.5"),
    (["run", "quorums", "--set", "loss=inf"], "loss is 'inf': it must be a number from 0 to 0.5"),
    (["run", "quorums", "--set", "delay=2"], "delay is '2': it must be a number from 0 to 1 s"),
    (["run", "quorums", "--set", "sloppy=maybe"], "sloppy is 'maybe': it must be true or false"),
    (["run", "quorums", "--set", "contact=some"], "contact is 'some': it must be one of all, quorum"),
    (["run", "quorums", "--set", "read_quorum=4"], "read_quorum is 4: it must be at most replicas, which is 3"),
    (["run", "quorums", "--set", "write_quorum=4"], "write_quorum is 4: it must be at most replicas, which is 3"),
    (["run", "clocks", "--set", "minimum_delay=0.5"], "minimum_delay is 0.5: it must be at most delay"),
    (["run", "quorums", "--seed", "one"], "seed is 'one': it must be a whole number"),
    (["run", "quorums", "--seed", "1.5"], "seed is '1.5': it must be a whole number"),
    (["run", "quorums", "--seed", "-1"], "seed is '-1': it must be a whole number of at least 0"),
    (["run", "quorums", "--seed", "2147483648"], "seed is 2147483648: it must be a whole number from 0 to 2147483647"),
    (["run", "quorums", "--set", "pairs=0"], "pairs is '0': it must be a whole number from 1 to 1000000"),
    (["run", "quorums", "--set", "pairs=3", "--set", "pairs=4"], "--set is 'pairs=4': pairs has been set before, to 3"),
    (["run", "quorums", "--runtime", "cloud"], "runtime is 'cloud': it must be simulated or ray"),
    (["sweep", "quorums"], "sweep needs at least one --over NAME=A:B:STEPS or --over NAME=V,V,…"),
    (["sweep", "quorums", "--over", "replicas"], "--over is 'replicas': it must be NAME=A:B:STEPS or NAME=V,V,…"),
    (["sweep", "quorums", "--over", "replicas=1:3"], "--over is 'replicas=1:3': it must be NAME=A:B:STEPS"),
    (["sweep", "quorums", "--over", "replicas=1:3:x"], "STEPS is 'x': it must be a whole number of at least 2"),
    (["sweep", "quorums", "--over", "replicas=1:3:1"], "STEPS is '1': it must be a whole number of at least 2"),
    (["sweep", "quorums", "--over", "replicas=1:30:2"], "replicas is '30': it must be a whole number from 1 to 9"),
    (["sweep", "quorums", "--over", "replicas=1,x"], "replicas is 'x': it must be a whole number from 1 to 9"),
    (["sweep", "quorums", "--over", "contact=all:quorum:2"], "contact has no range; list its values, NAME=V,V,…"),
    (["sweep", "quorums", "--over", "read_quorum=1:4:4"], "read_quorum is 4: it must be at most replicas"),
    (["sweep", "quorums", "--over", "replica=1,2"], "quorums has no dial 'replica'"),
    (["sweep", "quorums", "--over", "pairs=5,6", "--set", "pairs=3"], "--set is 'pairs=3': pairs is swept by --over"),
    (["sweep", "quorums", "--over", "pairs=5,6", "--over", "pairs=7"], "--over is 'pairs=7': pairs is swept already"),
    (["sweep", "quorums", "--over", "pairs=5,6", "--plot", "x.pdf"], "--plot is 'x.pdf': its name must end in .svg or"),
    (
        ["sweep", "quorums", "--over", "pairs=5,6", "--plot", "no/x.svg"],
        "--plot is 'no/x.svg': there is no folder 'no'",
    ),
    (
        ["sweep", "quorums", "--over", "pairs=1,2", "--serial", "--seeds", "1", "--measure", "stale_read"],
        "there is no measure 'stale_read': did you mean 'stale_reads'?",
    ),
    (["sweep", "quorums", "--over", "replicas=3,4", "--seeds", "0"], "seeds is '0': it must be a whole number of at"),
    (["sweep", "quorums", "--over", "replicas=3,4", "--seeds", "-2"], "seeds is '-2': it must be a whole number of at"),
    (["ablations", "zzz"], "there is no experiment 'zzz'"),
    (["ablations", "--seeds", "0"], "seeds is '0': it must be a whole number of at least 1"),
    (["ablations", "leases", "--seeds", "1001"], "seeds is 1001: it must be from 1 to 1000"),
    (["shiviz"], "shiviz needs either an EXPERIMENT to run and write, or --read FILE"),
    (["shiviz", "quorums", "--read", "x"], "shiviz needs either an EXPERIMENT to run and write, or --read FILE"),
    (["shiviz", "--read", "no such file"], "--read is 'no such file': it cannot be read (No such file or directory)"),
    (["shiviz", "--read", "README.md", "--parser", "(("], "parser is '((': it must be a regular expression"),
    (["shiviz", "quorums", "--seed", "x"], "seed is 'x': it must be a whole number of at least 0"),
    ([], "the following arguments are required: COMMAND"),
    (["run"], "the following arguments are required: EXPERIMENT"),
    (["run", "quorums", "--seed"], "argument --seed: expected one argument"),
    (["explode"], "invalid choice: 'explode'"),
    (["run", "quorums", "--sneed", "1"], "unrecognized arguments: --sneed 1"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD_INPUT, ids=lambda value: " ".join(value)[:60])
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, sentence, capsys):
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("labkit: ")
    assert sentence in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def labkit(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labkit", *arguments],
        env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def printed(capsys, *arguments: str):
    assert main(arguments) == 0
    out, error = capsys.readouterr()
    assert error == ""
    return out


def test_a_process_of_its_own_says_the_same():
    done = labkit("run", "quorums", "--set", "replicas=10")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "labkit: replicas is '10': it must be a whole number from 1 to 9\n"


def test_a_run_is_written_for_shiviz_and_read_back(capsys, tmp_path):
    log = tmp_path / "run.log"
    log.write_text(printed(capsys, "shiviz", "quorums", "--seed", "7", "--set", "pairs=2"))
    assert "every clock is consistent" in printed(capsys, "shiviz", "--read", str(log))
    told = json.loads(printed(capsys, "shiviz", "--read", str(log), "--json"))
    assert "client-1" in json.dumps(told)
    both = json.loads(printed(capsys, "shiviz", "quorums", "--seed", "7", "--set", "pairs=2", "--json"))
    assert both["log"] == log.read_text()
    log.write_text('begins\na {"a": 1}\n')  # as ShiViz itself takes a log that names no parser
    assert "1 event at 1 host" in printed(capsys, "shiviz", "--read", str(log))


def test_a_log_whose_clocks_contradict_each_other_has_its_own_exit_code(capsys, tmp_path):
    log = tmp_path / "wrong.log"
    log.write_text('a {"a": 2}\nbegins\n')
    assert main(["shiviz", "--read", str(log)]) == INCONSISTENT_EXIT
    assert "its own entry is 2, and should be 1" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_one_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "labkit", "list"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (NO_SPACE_EXIT, "labkit: no space is left for the output\n")


def test_run_prints_measures_and_verdicts(capsys):
    text = printed(capsys, "run", "quorums", "--seed", "7", "--set", "pairs=20")
    assert text.startswith("quorums (simulated, seed 7): 40 operations\n")
    assert "stale_reads" in text
    assert "every read is fresh: " in text


def test_run_prints_json_on_request(capsys):
    arguments = ["run", "quorums", "--seed", "7", "--set", "pairs=20", "--set", "delay=0.01", "--json"]
    text = printed(capsys, *arguments)
    data = json.loads(text)
    assert (data["seed"], data["parameters"]["pairs"], data["parameters"]["delay"]) == (7, 20, 0.01)
    assert len(data["operations"]) == 40
    assert data["verdicts"][0]["status"] in ("OK", "ILLEGAL")
    assert "messages" not in data
    assert text == printed(
        capsys, "run", "quorums", "--seed", "7", "--set", "pairs=20", "--set", "delay=0.01", "--json"
    )


def test_the_trace_comes_on_request(capsys):
    data = json.loads(printed(capsys, "run", "quorums", "--set", "pairs=5", "--json", "--trace"))
    assert len(data["messages"]) == data["messages_sent"] > 0


def test_a_measure_without_samples_is_null_in_json(capsys):
    data = json.loads(printed(capsys, "run", "clocks", "--set", "writes=5", "--json"))
    assert data["measures"]["sync_error_max"]["value"] is None


def test_sweep_prints_json_on_request(capsys):
    arguments = ["sweep", "quorums", "--set", "pairs=20", "--over", "read_quorum=1:3:3", "--seeds", "2", "--serial"]
    data = json.loads(printed(capsys, *arguments, "--json"))
    assert [point["parameters"] for point in data["points"]] == [{"read_quorum": number} for number in (1, 2, 3)]
    assert data["points"][0]["estimates"]["reads"]["count"] == 2
    text = printed(capsys, *arguments, "--measure", "reads", "--measure", "read_p50")
    heads = text.splitlines()[0]
    assert heads.startswith("read quorum  reads  read p50 (ms)")
    assert [line.split()[:2] for line in text.splitlines()[2:5]] == [[number, "20"] for number in "123"]


def test_a_sweep_without_measures_fits_a_terminal_and_says_what_it_leaves_out(capsys):
    text = printed(capsys, "sweep", "quorums", "--set", "pairs=20", "--over", "loss=0,0.1", "--seeds", "2", "--serial")
    assert max(map(len, text.splitlines()[:4])) <= 100
    assert "stale reads (%)" in text
    assert "more measures: --measure NAME shows one, --json all" in text


@pytest.mark.parametrize(("name", "begin"), [("plot.svg", b"<?xml"), ("plot.png", b"\x89PNG")])
def test_a_sweep_is_drawn_on_request(name, begin, tmp_path, capsys):
    file = tmp_path / name
    over = ["--over", "read_after=0:0.1:3", "--over", "read_quorum=1,2"]
    printed(capsys, "sweep", "quorums", "--set", "pairs=20", *over, "--seeds", "2", "--serial", "--plot", str(file))
    assert file.read_bytes().startswith(begin)
    if name.endswith("svg"):
        tree = ElementTree.parse(file)
        assert tree.getroot().tag.endswith("svg")
        assert len(tree.findall(".//{http://www.w3.org/2000/svg}path")) > 10


def test_a_wrong_measure_is_told_before_the_sweep_and_a_picture_is_drawn_after_the_numbers(
    tmp_path, capsys, monkeypatch
):
    over = ["--over", "loss=0,0.1", "--set", "pairs=5", "--seeds", "1", "--serial"]
    monkeypatch.setattr("labkit.sweeping.sweep", lambda *_, **__: pytest.fail("it was swept"))
    assert main(["sweep", "quorums", *over, "--measure", "stale_read"]) == 2
    monkeypatch.undo()
    folder = tmp_path / "is a folder.svg"
    folder.mkdir()
    capsys.readouterr()
    assert main(["sweep", "quorums", *over, "--measure", "reads", "--plot", str(folder)]) == 2
    out, error = capsys.readouterr()
    assert out.splitlines()[0].startswith("loss  reads")
    assert "it cannot be written (Is a directory)" in error


def test_there_is_a_console_script():
    done = labkit_in_a_shell("labkit list", None)
    assert "quorums" in done


QUICK = [example for name in ("list", "run", "sweep", "shiviz") for example in EXAMPLES[name] if "ray" not in example]


@pytest.mark.parametrize("example", QUICK)
def test_the_examples_of_the_help_work_as_they_stand(example, tmp_path):
    assert labkit_in_a_shell(example, tmp_path)
    assert ("--plot" in example) == bool(list(tmp_path.iterdir()))


@pytest.mark.real
@pytest.mark.parametrize("example", [*EXAMPLES["doctor"], "labkit ablations leases", EXAMPLES["run"][2]])
def test_so_do_the_slow_ones(example, tmp_path):
    assert labkit_in_a_shell(example, tmp_path)


def test_every_help_has_its_examples():
    for name, examples in EXAMPLES.items():
        text = labkit_in_a_shell(f"labkit {name} --help", None)
        assert all(example in text for example in examples)


def labkit_in_a_shell(command: str, folder: Path | None) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command], env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress where nobody looks
    return done.stdout


WITH_PROGRESS = [
    ("labkit run quorums --set pairs=40000", "operations"),
    ("labkit sweep quorums --over loss=0,0.1 --seeds 8 --set pairs=100 --serial", "/16 "),
    ("labkit ablations leases --seeds 20", "seed/s"),
]


@pytest.mark.real
@pytest.mark.parametrize(("command", "seen"), WITH_PROGRESS)
def test_what_takes_long_shows_its_progress_on_a_terminal(command, seen, tmp_path):
    output = tmp_path / "out"
    shown = on_a_terminal(f"{Path(sys.executable).parent}/{command} >{output}")
    assert seen in shown
    assert "operations/s" not in output.read_text()


def on_a_terminal(command: str) -> str:
    child, terminal = pty.fork()
    if not child:
        termios.tcsetwinsize(0, (24, 100))
        os.execvp("sh", ["sh", "-c", command])
    shown = b""
    try:
        while select.select([terminal], [], [], 60)[0]:
            part = os.read(terminal, 65536)
            if not part:
                break
            shown += part
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return shown.decode(errors="replace")


@pytest.mark.parametrize(
    ("over", "values"),
    [
        ("replicas=3:5:3", [3, 4, 5]),
        ("replicas=5:3:3", [5, 4, 3]),
        ("replicas=3:4:5", [3, 4]),
        ("loss=0:0.5:3", [0.0, 0.25, 0.5]),
        ("contact=all,quorum", ["all", "quorum"]),
        ("sloppy=off,on", [False, True]),
    ],
)
def test_over_is_a_range_or_a_list(over, values, capsys):
    arguments = ["sweep", "quorums", "--set", "pairs=2", "--over", over, "--seeds", "1", "--serial", "--json"]
    data = json.loads(printed(capsys, *arguments))
    assert [point["parameters"][over.partition("=")[0]] for point in data["points"]] == values


def test_list_names_every_experiment_and_its_dials(capsys):
    listed = {entry["name"]: entry for entry in json.loads(printed(capsys, "list", "--json"))}
    assert {"clocks", "leases", "quorums"} <= listed.keys()
    dial = listed["quorums"]["dials"]["delay"]
    assert (dial["default"], dial["unit"], dial["allowed"]) == (0.02, "s", "a number from 0 to 1 s")
    assert all(dial["help"] for entry in listed.values() for dial in entry["dials"].values())
    for name in listed:
        assert name in printed(capsys, "list")
    assert "read_quorum" in printed(capsys, "list", "quorums")


def test_doctor_tells_what_is_there_and_how_to_get_what_is_not(capsys):
    found = {entry["name"]: entry for entry in json.loads(printed(capsys, "doctor", "--json"))}
    assert found["simpy"]["ok"] is True
    assert all(entry["ok"] or entry["remedy"] for entry in found.values())
    assert "simpy" in printed(capsys, "doctor")


def test_an_unreachable_ray_cluster_is_something_missing():
    pytest.importorskip("ray")
    done = labkit("run", "quorums", "--runtime", "ray", "--set", "pairs=2", RAY_ADDRESS="127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("labkit: no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["list"], ["run", "quorums", "--json"], ["run", "quorums", "--set", "pairs=2"]], ids=" ".join
)
def test_a_reader_that_has_had_enough_is_no_error(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "labkit", *arguments],
            cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])
    assert ended.value.code == 0
    assert "EXPERIMENT" in capsys.readouterr().out


def test_verdicts_have_colours_on_a_terminal_alone(monkeypatch, capsys):
    asked = ["run", "quorums", "--seed", "7", "--set", "pairs=200"]
    assert main(asked) == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(asked) == 0
    coloured = capsys.readouterr().out
    assert "every read is fresh: \x1b[1;31mILLEGAL\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(asked) == 0 and capsys.readouterr().out == plain


def test_a_dial_without_effect_is_told_of(capsys):
    assert main(["run", "transactions", "--set", "downtime=3", "--set", "bookings=5"]) == 0
    assert capsys.readouterr().err == "labkit: downtime: no effect while crash is none\n"
