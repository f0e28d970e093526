"""Pictures as data: what is drawn, told and tabled is the result's, small enough to travel, and without a colour."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from labkit import run
from labkit.checkers.staleness import fresh_reads
from labkit.clocks import Timestamp
from labkit.experiments.clocks import inversion_probability
from labkit.experiments.quorums import miss_probability
from labkit.lab import find
from labkit.live import across, latencies, over_time, space_time
from labkit.live.answering import canonical
from labkit.palette import DARK, LIGHT, css_variables
from labkit.results import Measure, percentile
from labkit.wording import duration

COLOUR_KEYS = {"color", "fill", "stroke", "background"}
CUT = {"partition": 0.2, "loss": 0.05, "read_quorum": 2, "write_quorum": 2, "timeout": 0.1, "keys": 1}


def is_allowed(values) -> bool:
    return values.get("read_quorum", 0) <= values.get("replicas", 9)


def drawn(picture, experiment="quorums", seed=7, measured=None, **parameters):
    chosen = find(experiment)
    picture.check(chosen)
    values = chosen.settings(parameters)
    result = run(chosen, seed=seed, **values)
    beside = [other for other in picture.others(chosen, values) if is_allowed(other)]
    others = [run(chosen, seed=seed, **other) for other in beside]
    if measured is not None:
        return result, picture.overlay(measured, result, others, chosen)
    return result, picture.draw(result, others, chosen)


GRID = across("read_quorum", "stale_reads", by="write_quorum", values=[1, 2, 3], by_values=[1, 2, 3])
PICTURES = {
    "across": drawn(GRID, pairs=40)[1],
    "across choices": drawn(across("shape", "read_p50"), pairs=20)[1],
    "law": drawn(across("offset", "wrongly_ordered"), "clocks", delay=0.0, minimum_delay=0.0, writes=30)[1],
    "latencies": drawn(latencies(), pairs=200)[1],
    "long tail": drawn(latencies(), "clocks", loss=0.2, writes=100, minimum_delay=0.0)[1],
    "no sample": drawn(latencies(["read"]), pairs=5, loss=0.5, timeout=0.001)[1],
    "over time": drawn(over_time(), pairs=400, **CUT)[1],
    "outages": drawn(over_time("write"), pairs=300, availability=0.7, mean_outage=0.02, timeout=0.05)[1],
    "measured": drawn(latencies(), pairs=100, measured=run("quorums", seed=8, pairs=100))[1],
    "measured across": drawn(GRID, pairs=20, measured=run("quorums", seed=8, pairs=20))[1],
    "measured over time": drawn(over_time("read"), pairs=50, measured=run("quorums", seed=8, pairs=50))[1],
}
SCENES = {
    "one pair": drawn(space_time(), seed=9, clients=1, pairs=1),
    "clocks": drawn(space_time(nodes=["server-1", "store", "server-2"]), "clocks", writes=2, rate=30.0, keys=1),
    "leases": drawn(space_time(methods=["put"]), "leases", seed=2, duration=1.5, pause=0.5, work=0.03),
    "cut": drawn(space_time(), pairs=6, rate=300.0, partition=0.02, timeout=0.05, loss=0.1),
}


def parts(spec) -> Iterator[tuple[str, object]]:
    if isinstance(spec, dict):
        for key, value in spec.items():
            yield key, value
            yield from parts(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from parts(value)


@pytest.mark.parametrize("name", PICTURES)
def test_charts_name_their_data_and_no_colour_of_their_own(name):
    picture = PICTURES[name]
    assert picture["kind"] == "vega-lite" and picture["spec"]["width"] == "container"
    assert {layer["data"]["name"] for layer in picture["spec"]["layer"]} <= set(picture["data"])
    known = {f"var({variable})" for theme in (LIGHT, DARK) for variable in css_variables(theme)}
    for key, value in parts(picture["spec"]):
        if key in COLOUR_KEYS and isinstance(value, str):
            assert value in known
    colours = [value for key, value in parts(picture["spec"]) if key == "range" and "var(" in str(value)]
    assert all(colour in known for several in colours for colour in several)
    assert "#" not in canonical(picture["spec"]) and "http" not in canonical(picture["spec"])


@pytest.mark.parametrize("name", PICTURES)
def test_fields_that_a_chart_draws_are_in_its_data(name):
    picture = PICTURES[name]
    for layer in picture["spec"]["layer"]:
        rows = picture["data"][layer["data"]["name"]]
        looked_up = {field for step in layer.get("transform", []) for field in step["from"]["fields"]}
        fields = {channel["field"] for channel in layer["encoding"].values() if "field" in channel} - looked_up
        assert all(fields <= set(row) for row in rows)


@pytest.mark.parametrize("name", [*PICTURES, *SCENES])
def test_pictures_are_small_and_tell_themselves(name):
    picture = PICTURES.get(name) or SCENES[name][1]
    assert len(canonical(picture)) < 25_000
    if name == "latencies":
        assert len(canonical(picture)) < 8_000
    assert picture["text"].endswith(".") and "nan" not in picture["text"].lower()
    head, rows = picture["table"]["head"], picture["table"]["rows"]
    assert len(rows) <= 40 and all(len(row) == len(head) for row in rows)
    assert all(isinstance(cell, str) for row in [head, *rows] for cell in row)


def test_a_specification_stays_the_same_while_controls_move():
    one, other = (drawn(latencies(), pairs=100, read_quorum=quorum)[1]["spec"] for quorum in (1, 3))
    assert one == other
    one, other = (drawn(GRID, pairs=20, read_quorum=quorum)[1]["spec"] for quorum in (1, 3))
    assert one == other


def test_latency_curves_are_those_of_the_result():
    result, picture = drawn(latencies(), pairs=200)
    for function in ("read", "write"):
        ordered = sorted(result.latencies(function))
        for row in picture["data"]["curves"]:
            if row["n"] == function and row["share"]:
                place = round(row["share"] * len(ordered)) - 1
                assert row["ms"] == pytest.approx(ordered[place] * 1e3, rel=1e-3)
        for row in picture["data"]["percentiles"]:
            if row["n"] == function:
                assert row["ms"] == pytest.approx(percentile(ordered, row["share"]) * 1e3, rel=1e-5)
        assert duration(percentile(ordered, 0.99)) in picture["text"]
    assert picture["table"]["rows"][2][1] == duration(percentile(result.latencies("read"), 0.5))


def test_axes_have_an_end_where_nothing_was_measured_or_all_is_zero():
    _, empty = drawn(latencies(), "quorums", pairs=5, delay=1.0, shape="constant")
    place = empty["spec"]["layer"][0]["encoding"]["x"]
    assert empty["data"]["curves"] == [] and place["scale"] == {"domain": [0, 1]}
    assert empty["spec"]["title"]["text"] == ["No operation succeeded, so there is no", "latency to draw."]
    found = {"values": [1, 2, 3]}
    _, flat = drawn(across("read_quorum", "stale_reads", **found), "quorums", pairs=5, read_quorum=3, write_delay=0.0)
    assert {row["y"] for row in flat["data"]["runs"]} == {0.0}
    encoding = flat["spec"]["layer"][-1]["encoding"], flat["spec"]["layer"][0]["encoding"]
    assert encoding[1]["y"]["scale"] == {"domain": [0, 1]} and encoding[1]["x"]["scale"]["domain"] == [1, 3]


def test_readings_of_clocks_that_are_right_are_left_out():
    _, scene = drawn(space_time(), "transactions", bookings=1, customers=1)
    assert scene["notes"] and all(note["clock"] is None for note in scene["notes"])


def test_operations_without_latency_are_told():
    result, picture = drawn(latencies(), pairs=50, loss=0.3, read_quorum=3)
    without = sum(not operation.ok for operation in result.operations)
    assert f"{without} of {len(result.operations)} operations did not succeed" in picture["text"]


def test_across_shows_the_measure_of_each_run():
    result, picture = drawn(GRID, pairs=40, read_quorum=2)
    for row in picture["data"]["runs"]:
        alone = run("quorums", seed=7, pairs=40, read_quorum=row["x"], write_quorum=int(row["line"]))
        assert row["y"] == pytest.approx(100 * alone["stale_reads"], rel=1e-5)
    (here,) = picture["data"]["here"]
    assert (here["x"], here["label"]) == (2, str(result.measures["stale_reads"]))
    assert f"The controls stand at read quorum 2 and write quorum 1: {here['label']}." in picture["text"]


def test_across_adds_the_value_at_which_the_control_stands():
    picture = drawn(across("read_after", "stale_reads", values=[0, 0.1]), pairs=20, read_after=0.03)[1]
    assert [row["x"] for row in picture["data"]["runs"]] == [0, 30, 100]
    assert picture["spec"]["layer"][0]["encoding"]["x"]["title"] == "read after (ms)"


def test_runs_that_the_experiment_refuses_are_absent():
    picture = drawn(across("read_quorum", "stale_reads", by="replicas", values=[1, 3], by_values=[2, 3]), pairs=10)[1]
    assert len(picture["data"]["runs"]) == 3
    assert picture["table"]["rows"][1] == ["3", "not allowed", "0%"]


def test_the_measured_value_stands_beside_the_simulated_one():
    measured = run("quorums", seed=8, pairs=20)
    (row,) = PICTURES["measured across"]["data"]["measured"]
    assert row["label"] == f"measured {measured.measures['stale_reads']!s}"


@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_the_law_of_partial_quorums(loss):
    picture = drawn(GRID, pairs=300, contact="quorum", loss=loss, timeout=0.2)[1]
    law = {(row["x"], int(row["line"])): row["y"] for row in picture["data"]["law"]}
    for (reads, writes), expected in law.items():
        assert expected == pytest.approx(100 * miss_probability(3, reads, writes), rel=1e-5)
    for row in picture["data"]["runs"]:
        assert row["y"] == pytest.approx(law[row["x"], int(row["line"])], abs=15)
    assert picture["spec"]["title"]["text"] == "Grey dashes: C(N−W, R) / C(N, R)"


def test_the_law_of_inversions():
    for row in PICTURES["law"]["data"]["law"]:
        assert row["y"] == pytest.approx(100 * inversion_probability(row["x"], 20.0), rel=1e-4)


@pytest.mark.parametrize(
    ("experiment", "measure", "changes"),
    [
        ("quorums", "stale_reads", {}),
        ("quorums", "stale_reads", {"contact": "quorum", "keys": 5}),
        ("quorums", "stale_reads", {"contact": "quorum", "availability": 0.9}),
        ("clocks", "wrongly_ordered", {}),
        ("clocks", "wrongly_ordered", {"delay": 0.0, "synchronisation": "ntp"}),
        ("clocks", "wrongly_ordered", {"delay": 0.0, "commit_wait": True}),
        ("clocks", "wrongly_ordered", {"delay": 0.0, "servers": 3}),
        ("clocks", "wrongly_ordered", {"delay": 0.0, "drift_ppm": 10.0}),
    ],
)
def test_a_law_says_nothing_where_it_does_not_apply(experiment, measure, changes):
    chosen = find(experiment)
    assert chosen.laws[measure].expected(chosen.settings(changes)) is None


def test_points_over_time_are_operations_and_those_that_failed_stay():
    result, picture = drawn(over_time(), pairs=400, **CUT)
    rows = picture["data"]["operations"]
    assert len(rows) <= 240 < len(result.operations)
    known = {(float(f"{entry.invoked_us / 1e6:.4g}"), entry.outcome) for entry in result.operations}
    assert all((row["at"], row["outcome"]) in known for row in rows)
    unknown = sum(entry.outcome == "unknown" for entry in result.operations)
    assert sum(row["outcome"] == "unknown" for row in rows) == min(unknown, 120) > 50
    assert [row["label"].split()[0] for row in picture["data"]["names"]] == ["partition"]
    counts = [sum(int(row[column]) for row in picture["table"]["rows"]) for column in (1, 2, 3)]
    outcomes = [sum(entry.outcome == outcome for entry in result.operations) for outcome in ("ok", "fail", "unknown")]
    assert counts == outcomes


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_made_of_the_run(name):
    result, scene = SCENES[name]
    lanes = [lane["node"] for lane in scene["lanes"]]
    for arrow in scene["messages"]:
        assert any(
            (message.source, message.target, message.method)
            == (lanes[arrow["from"]], lanes[arrow["to"]], arrow["label"])
            and message.sent_us == pytest.approx(arrow["sent"] * 1e3, abs=1)
            for message in result.messages
        )
        assert arrow["fate"] in ("sent", "duplicated", "lost", "partitioned", "held", "undelivered")
        assert arrow["arrives"] is None or arrow["arrives"] >= arrow["sent"]
    assert all(0 <= entry["lane"] < len(lanes) for entry in scene["operations"] + scene["notes"])
    assert all(0 <= lane < len(lanes) for window in scene["windows"] for lane in window["lanes"])
    assert all(scene["begin"] <= window["begin"] <= window["end"] <= scene["end"] for window in scene["windows"])
    json.loads(canonical(scene))


@pytest.mark.parametrize("name", ["one pair", "clocks"])
def test_flagged_operations_are_the_counterexamples(name):
    result, scene = SCENES[name]
    story = fresh_reads(result.operations).counterexample
    assert len(story) == len(scene["flagged"]) >= 2
    begins = {scene["operations"][number]["begin"] for number in scene["flagged"]}
    assert begins == {round(operation.invoked_us / 1e3, 3) for operation in story}
    remarks = [scene["operations"][number]["remark"] for number in scene["flagged"]]
    assert all(remarks) and any("missed by it" in remark for remark in remarks)
    assert "missed by it" in scene["text"]


def test_writes_tell_their_timestamps_and_how_wrong_they_are():
    result, scene = SCENES["clocks"]
    writes = [operation for operation in result.operations if isinstance(operation.value, Timestamp)]
    late = max(writes, key=lambda write: write.value.physical_us)
    assert any(f"stamped {late.value.physical_us / 1e3:.1f} ms" in entry["remark"] for entry in scene["operations"])
    assert any("50.0 ms ahead of true time" in entry["remark"] for entry in scene["operations"])


def test_notes_carry_their_clocks_readings():
    _, scene = drawn(space_time(), "logical_clocks", nodes=2, events=3, offset=0.05)
    ahead = [0.0, 50.0]
    assert {note["lane"] for note in scene["notes"]} == {0, 1}
    assert all(note["clock"] == pytest.approx(note["at"] + ahead[note["lane"]], abs=0.01) for note in scene["notes"])
    assert [window["kind"] for window in SCENES["leases"][1]["windows"]] == ["pause"]


def reachable(one, known):
    """What follows from an event, by a search through lanes and messages that knows nothing of clocks."""
    found, waiting = set(), [one]
    while waiting:
        kind, node, moment, message = waiting.pop()
        for other in known - found:
            received = kind == "send" and other[0] == "arrive" and other[3] == message
            if received or (other[1] == node and other[2] > moment):
                found.add(other)
                waiting.append(other)
    return found


@pytest.mark.parametrize("name", ["one pair", "clocks", "leases"])
def test_events_of_a_scene_carry_clocks_that_tell_what_follows_from_what(name):
    result, scene = SCENES[name]
    nodes = [lane["node"] for lane in scene["lanes"]]
    # Of one microsecond at one node the arrivals go first, then the sendings, as a node works.
    known = {("send", entry.source, (entry.sent_us, 1, at), at) for at, entry in enumerate(result.messages)}
    arrived = [(at, entry) for at, entry in enumerate(result.messages) if entry.arrived_us is not None]
    known |= {("arrive", entry.target, (entry.arrived_us, 0, at), at) for at, entry in arrived}

    def in_the_run(event):
        kind, index, clock, *_ = event
        arrow = scene["messages"][index]
        lane, at = (arrow["from"], arrow["sent"]) if kind == "send" else (arrow["to"], arrow["arrives"])
        alike = [each for each in known if each[:2] == (kind, nodes[lane]) and each[2][0] == round(at * 1e3)]
        return alike, lane, clock

    travelling = [in_the_run(event) for event in scene["events"] if event[0] in ("send", "arrive")]
    alone = [(alike[0], lane, clock) for alike, lane, clock in travelling if len(alike) == 1]
    assert len(alone) > 4
    for one, lane, clock in alone:
        after = reachable(one, known)
        for other, _, other_clock in alone:
            if other != one:
                assert (other_clock[lane] >= clock[lane]) == (other in after), (one, other)


def test_a_note_goes_with_the_message_that_it_tells_of():
    result, scene = drawn(space_time(), "logical_clocks", seed=15, events=4)
    told = [event for event in scene["events"] if len(event) > 3]
    labels = {scene["notes"][number]["label"].split()[0] for event in told for number in event[3]}
    assert labels == {"send", "receive"} and len(told) == 2 * len(scene["messages"]) > 4
    alone = [event for event in scene["events"] if event[0] == "note"]
    assert {scene["notes"][event[1]]["label"].split()[0] for event in alone} == {"step"}
    # The clocks that the nodes kept themselves are the ones that the trace gives.
    own = [tuple(note.details["V"][node] for node in "ABC") for note in result.notes]
    assert sorted(own) == sorted(tuple(event[2]) for event in scene["events"])


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (Measure("stale_reads", 0.2533, "", "share of reads"), "25.3%"),
        (Measure("read_p50", 0.0177, "s", "half"), "17.7 ms"),
        (Measure("read_availability", 0.9996, "", "share of reads"), "99.96%"),
        (Measure("read_availability", 1.0, "", "share of reads"), "100%"),
        (Measure("reads", 12345, "", "reads"), "12,345"),
        (Measure("messages", 6.02, "", "messages"), "6.02"),
        (Measure("read_p50", float("nan"), "s"), "no samples"),
    ],
)
def test_values_are_said_with_their_unit(measure, said):
    assert str(measure) == measure.said(measure.value) == said


def test_numbers_of_texts_are_the_tables():
    for picture in (PICTURES["across"], PICTURES["law"]):
        cells = " ".join(cell for row in picture["table"]["rows"] for cell in row)
        for number in re.findall(r"[\d.]+%", picture["text"]):
            assert number.strip(".") in cells
