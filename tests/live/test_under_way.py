"""The picture of what is under way counts what a plain count counts, and keeps to the form of all pictures."""

from __future__ import annotations

import pytest

from labkit import run
from labkit.errors import BadInput
from labkit.faults import FaultPlan
from labkit.history import Operation, Recording
from labkit.lab import find
from labkit.live import under_way
from labkit.live.answering import canonical
from labkit.live.under_way import INSTANTS
from labkit.results import Result

FLOW = find("sync_vs_async")


def drawn(picture, measured=None, **parameters):
    result = run(FLOW, seed=7, orders=60, outage=1.0, outage_at=1.0, **parameters)
    if measured is not None:
        return result, picture.overlay(measured, result, [], FLOW)
    return result, picture.draw(result, [], FLOW)


def highest(result, function, begin, end) -> int:
    """The most under way at any instant from `begin` to `end`, in seconds."""
    spans = [(e.invoked_us / 1e6, e.returned_us / 1e6) for e in result.operations if e.function == function]
    moments = [begin, *(first for first, _ in spans if begin < first <= end)]
    return max(sum(first <= at < last for first, last in spans) for at in moments)


@pytest.mark.parametrize("mode", ["call", "queue"])
def test_lines_are_the_highest_count_of_each_stretch(mode):
    result, picture = drawn(under_way(["order", "completion"]), mode=mode)
    width = result.duration / INSTANTS
    for function in ("order", "completion"):
        line = [row for row in picture["data"]["lines"] if row["n"] == function]
        assert len(line) == INSTANTS
        for place, row in enumerate(line):
            assert row["number"] == highest(result, function, place * width, (place + 1) * width)
        assert f"{function.capitalize()}s under way: at most {max(row['number'] for row in line)}" in picture["text"]


def test_the_fault_is_shaded_named_and_told():
    _, picture = drawn(under_way())
    assert picture["data"]["faults"] == [{"begin": 1.0, "end": 2.0}]
    assert picture["data"]["names"][0]["label"] == "pause payment"
    assert "Pause payment from 1 s to 2 s." in picture["text"]


def test_a_measured_run_lies_over_the_simulated_one():
    measured = run(FLOW, seed=8, orders=60, outage=1.0, outage_at=1.0)
    _, picture = drawn(under_way(["order"]), measured)
    assert {row["n"] for row in picture["data"]["lines"]} == {"order, measured", "order, simulated"}
    assert len(picture["table"]["head"]) == 3


def test_it_keeps_to_the_form_of_pictures():
    _, picture = drawn(under_way())
    assert picture["kind"] == "vega-lite" and picture["spec"]["width"] == "container"
    assert {layer["data"]["name"] for layer in picture["spec"]["layer"]} == set(picture["data"])
    assert len(canonical(picture)) < 20_000 and "#" not in canonical(picture["spec"])
    head, rows = picture["table"]["head"], picture["table"]["rows"]
    assert 0 < len(rows) <= 40 and all(len(row) == len(head) for row in rows)
    for layer in picture["spec"]["layer"]:
        fields = {channel["field"] for channel in layer["encoding"].values() if "field" in channel}
        assert all(fields <= set(row) for row in picture["data"][layer["data"]["name"]])


def test_what_never_returned_is_under_way_to_the_end():
    operations = [Operation("a", "order", invoked_us=0), Operation("b", "order", 1, None, 100_000, 300_000, "ok")]
    recording = Recording(operations, faults=list(FaultPlan()), duration_us=1_000_000)
    result = Result("sync_vs_async", "simulated", 0, {}, recording)
    numbers = [row["number"] for row in under_way(["order"]).draw(result, [], FLOW)["data"]["lines"]]
    assert numbers[0] == 1 and max(numbers) == 2 and numbers[-1] == 1


def test_functions_must_be_names():
    with pytest.raises(BadInput):
        under_way("order")
    result, picture = drawn(under_way(["nothing of the kind"]))
    assert picture["data"]["lines"] == [] and picture["table"]["rows"] == [] and result.operations
