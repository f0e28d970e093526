"""Answers: a sentence for whatever cannot be, and the same bytes for the same request anywhere."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from labkit import run
from labkit.command_line import main
from labkit.lab import catalogue, find
from labkit.live import across, latencies, over_time, space_time
from labkit.live.answering import MOST_EVENTS, answer, answer_json, canonical, respond_measured, result_json
from labkit.live.simulating import Simulations, events
from tests.repository.files import ROOT

SMALL = {"quorums": {"pairs": 8}, "clocks": {"writes": 8}, "leases": {"duration": 0.6}}


def request(experiment="quorums", picture=None, measures=None, seed=7, **parameters):
    picture = picture or latencies()
    drawing = {"name": picture.name, "options": picture.options}
    asked = {"experiment": experiment, "seed": seed, "parameters": parameters, "picture": drawing}
    return asked | {"measures": measures}


def refused(asked) -> str:
    found = answer(asked)
    assert set(found) == {"request", "error"}
    return found["error"]


REQUESTS = {
    "across": request(picture=across("read_quorum", "stale_reads", by="write_quorum"), pairs=30),
    "law": request("clocks", across("offset", "wrongly_ordered"), delay=0.0, minimum_delay=0.0, writes=30),
    "latencies": request(pairs=60, loss=0.1),
    "over_time": request(picture=over_time(), pairs=60, partition=0.2, rate=100),
    "space_time": request("clocks", space_time(), writes=2, keys=1),
    "leases": request("leases", space_time(methods=["put"]), duration=1.0, pause=0.5),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_answers_have_all_parts(name):
    asked = REQUESTS[name]
    found = json.loads(answer_json(canonical(asked)))
    assert found["request"] == json.loads(canonical(asked))
    assert set(found) == {"request", "picture", "measures", "verdicts", "caption", "command", "events"}
    result = run(asked["experiment"], seed=7, trace=False, **asked["parameters"])
    assert {entry["name"]: entry["value"] for entry in found["measures"]} == {
        entry.name: entry.value if entry.value == entry.value else None for entry in result.measures.values()
    }
    assert [entry["status"] for entry in found["verdicts"]] == [verdict.status for verdict in result.verdicts]
    assert found["events"] >= events(result) > 0
    assert "seed 7" in found["caption"]


@pytest.mark.parametrize("name", REQUESTS)
def test_the_command_reproduces_the_measures(name):
    found = answer(REQUESTS[name])
    printed = StringIO()
    with redirect_stdout(printed):
        assert main([*shlex.split(found["command"])[1:], "--json"]) == 0
    measures = json.loads(printed.getvalue())["measures"]
    assert {entry["name"]: entry["value"] for entry in found["measures"]} == {
        name: entry["value"] for name, entry in measures.items()
    }


def test_the_command_names_what_is_not_at_its_default_and_quotes_it():
    found = answer(request(pairs=5, shape="linkedin ssd", mixed=True, read_quorum=1))
    assert (
        found["command"]
        == ".venv/bin/labkit run quorums --seed 7 --set 'shape=linkedin ssd' --set pairs=5 --set mixed=true"
    )


def test_results_are_the_whole_run():
    asked = request(pairs=5, loss=0.2)
    assert result_json(canonical(asked)) == run("quorums", seed=7, pairs=5, loss=0.2).to_json(trace=True)
    assert json.loads(result_json('{"experiment": "quorum"}'))["error"].startswith("there is no experiment")


PROGRAM = "import sys; from labkit.live.answering import answer_json\nfor line in sys.stdin: print(answer_json(line))"


def test_answers_are_the_same_bytes_in_every_process():
    lines = "".join(canonical(asked) + "\n" for asked in REQUESTS.values())
    seen = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], input=lines, cwd=ROOT, env=environment, capture_output=True, text=True,
            timeout=100, check=True,
        )  # fmt: skip
        seen.add(done.stdout)
    assert seen == {"".join(answer_json(canonical(asked)) + "\n" for asked in REQUESTS.values())}


def test_what_is_kept_changes_no_answer():
    asked = request(picture=across("read_quorum", "stale_reads", by="write_quorum"), pairs=20)
    kept = Simulations(most_kept=4)  # fewer than the picture has runs
    for quorum in (1, 2, 1, 3):
        asked["parameters"]["read_quorum"] = quorum
        assert answer(asked, kept) == answer(asked)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (request("quorum"), "there is no experiment 'quorum': did you mean 'quorums'?"),
        (request(experiment=["quorums"]), "experiment is ['quorums']: it must be a name"),
        (request(pear=1), "quorums has no dial 'pear'"),
        (request(pairs=0), "pairs is 0: it must be a whole number from 1"),
        (request(pairs="many"), "pairs is 'many': it must be a whole number"),
        (request(read_quorum=4), "read_quorum is 4: it must be at most replicas, which is 3"),
        (request(seed=-1), "seed is -1: it must be a whole number from 0"),
        (request(seed=True), "seed is True: it must be a whole number"),
        (request(pairs=5, measures=["stale"]), "measures names 'stale'"),
        (request() | {"picture": {"name": "pie"}}, "there is no picture 'pie'"),
        (request() | {"picture": {"name": "across", "options": {"dial": "x"}}}, "picture across needs measure"),
        (request() | {"picture": {"name": "latencies", "options": {"size": 1}}}, "latencies has no option 'size'"),
        (request() | {"pear": 1}, "the request names 'pear'"),
        (request(picture=across("pear", "stale_reads")), "dial is 'pear'"),
        (request(picture=across("pairs", "pear", values=[5]), pairs=5), "measure is 'pear'"),
        (request(picture=across("read_quorum", "stale_reads", values=[77])), "read_quorum is 77: it must be"),
        (request(picture=across("replicas", "stale_reads", by="replicas")), "by is 'replicas'"),
        (request(picture=space_time(nodes=["pear"]), pairs=1), "nodes names 'pear'"),
        (request(picture=space_time(), pairs=15), "more than the 120 that can be told apart: lower pairs, which is 15"),
        (None, "the request must be a table"),
        ([], "the request must be a table"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_gets_a_sentence(asked, sentence):
    assert sentence in refused(asked)


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "NaN", "1e999", '{"seed": 1e999}', "[" * 5000, '"' + "x" * 200_000 + '"', "9" * 5000],
)
def test_absurd_texts_get_json(text):
    for reply in (answer_json, result_json):
        assert "error" in json.loads(reply(text))


@pytest.mark.parametrize(
    ("experiment", "parameters", "dial"),
    [
        ("quorums", {"pairs": 1_000_000}, "pairs is 1000000"),
        ("quorums", {"pairs": 100, "availability": 0.5, "mean_outage": 0.001, "rate": 0.1}, "mean_outage is 0.001"),
        ("quorums", {"pairs": 10_000, "sloppy": True, "rate": 0.1}, "rate is 0.1"),
        ("clocks", {"writes": 100_000}, "writes is 100000"),
        ("clocks", {"synchronisation": "ntp", "interval": 0.01, "rate": 0.01}, "interval is 0.01"),
        ("leases", {"duration": 600.0, "work": 0.001}, "duration is 600.0"),
    ],
)
def test_what_would_keep_a_reader_waiting_is_refused(experiment, parameters, dial):
    sentence = refused(request(experiment, **parameters))
    assert sentence.startswith(dial) and f"at most {MOST_EVENTS:,}" in sentence
    assert "error" in json.loads(result_json(canonical(request(experiment, **parameters))))


def test_a_picture_of_many_runs_counts_them_all():
    picture = across("read_quorum", "stale_reads", by="write_quorum", values=[1, 2, 3], by_values=[1, 2, 3])
    assert "error" not in answer(request(pairs=200))
    assert refused(request(picture=picture, pairs=3000)).startswith("pairs is 3000")


@pytest.mark.parametrize(
    ("experiment", "parameters"),
    [
        ("quorums", {"pairs": 100}),
        ("quorums", {"pairs": 100, "contact": "quorum", "replicas": 5, "read_quorum": 3}),
        ("quorums", {"pairs": 100, "availability": 0.7, "mean_outage": 0.05}),
        ("clocks", {"writes": 60, "servers": 4}),
        ("clocks", {"writes": 60, "synchronisation": "ntp", "interval": 0.1}),
        ("clocks", {"writes": 60, "synchronisation": "cristian", "interval": 0.02}),
        ("leases", {}),
        ("leases", {"holders": 5, "work": 0.005}),
    ],
)
def test_expected_events_are_about_right(experiment, parameters):
    chosen = find(experiment)
    expected = sum(chosen.expected_events(chosen.settings(parameters)).values())
    assert expected / 2 < events(run(experiment, seed=7, trace=False, **parameters)) < 2 * expected


def test_every_experiment_says_how_large_its_runs_are():
    for experiment in catalogue().values():
        values = experiment.settings({})
        sizes = experiment.expected_events(values)
        assert sizes and set(sizes) <= set(experiment.dials)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
ODD = JSON | st.sampled_from(["quorums", "stale_reads", "read_quorum", 10**400, -1, 1e308, "\ud800", [[]], {"a": {}}])


@st.composite
def odd_requests(draw):
    """A request for a small run, with some of its parts replaced by anything."""
    experiment = draw(st.sampled_from(sorted(SMALL)))
    dials = find(experiment).dials
    some = st.dictionaries(st.sampled_from(sorted(dials)), ODD, max_size=2)
    kinds = st.sampled_from(["latencies", "across", "over_time", "space_time", "under_way"])
    names = ["dial", "measure", "by", "values", "by_values", "law", "functions", "function", "nodes", "begin"]
    options = st.dictionaries(st.sampled_from(names), ODD, max_size=3)
    asked = {
        "experiment": experiment,
        "seed": draw(st.integers(0, 3)),
        "parameters": draw(some) | SMALL[experiment],
        "picture": {"name": draw(kinds), "options": draw(options)},
        "measures": None,
    }
    for name in draw(st.sets(st.sampled_from([*asked, "pear"]), max_size=2)):
        asked[name] = draw(ODD)
    return asked


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(odd_requests() | ODD)
@example({"experiment": "quorums", "picture": {"name": "across", "options": {"dial": "pairs"}}})
def test_no_request_raises_and_every_answer_is_json(asked):
    found = answer(asked)
    json.loads(canonical(found))
    if "error" in found:
        assert found["error"] and "\n" not in found["error"] and len(found["error"]) <= 300
    else:
        assert {"picture", "measures", "verdicts", "caption", "command", "events"} <= set(found)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_text_raises(text):
    found = json.loads(answer_json(text))
    assert ("error" in found) != ("picture" in found)


def test_measured_answers_lay_the_measurement_over_the_simulation():
    told, begun = [], []

    def runner(experiment, *, runtime="simulated", progress=None, observe=None, **asked):
        if runtime == "ray":
            observe("ready", {})
            for ended in (0, 30, 60, 70):
                progress(ended)
            asked["seed"] += 1  # another machine, another history
        return run(experiment, **asked)

    asked = request(picture=latencies(), pairs=30, measures=["read_p50"])
    found = respond_measured(asked, lambda done, total: told.append((done, total)), begun.append, runner)
    assert begun == [run("quorums", seed=7, pairs=30).duration]
    assert told == [(0, 60), (30, 60), (60, 60), (60, 60)]
    assert "percentage points apart" in found["picture"]["text"]
    (entry,) = found["measures"]
    simulated, measured = (answer(asked | {"seed": seed})["measures"][0]["shown"] for seed in (7, 8))
    assert (entry["shown"], entry["measured_shown"]) == (simulated, measured)
    assert found["caption"].startswith("Measured on real processes, over the simulation; seed 7")
    assert {verdict["property"] for verdict in found["verdicts"]} == {
        "every read is fresh", "linearizable", "every read is fresh, measured", "linearizable, measured"
    }  # fmt: skip
