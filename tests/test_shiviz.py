"""Logs for ShiViz: written and read back, refused with the line's number, and judged by their own clocks."""

from __future__ import annotations

import re

import pytest

from labkit import run
from labkit.causality import Vector, vector
from labkit.checkers.causality import execution_of
from labkit.errors import BadInput
from labkit.shiviz import PARSER, export, load, log_of

SMALL = """\
alice {"alice": 1}
asks
bob {"bob": 1, "alice": 1}
hears
carol {"carol": 1}
sleeps
alice {"alice": 2, "bob": 1}
is answered
"""


def test_a_log_is_read_and_summed_up():
    log = load(SMALL)
    assert log.hosts == ["alice", "bob", "carol"] and [event.text for event in log.events][:2] == ["asks", "hears"]
    assert log.events[1].clock == vector({"alice": 1, "bob": 1}) and log.events[1].line == 3
    assert (log.ordered_pairs, log.concurrent_pairs) == (3, 3)  # carol's sleep has to do with nobody
    assert load(SMALL.replace("\n", "\r\n")) == log
    assert not log.inconsistency and "3 pairs ordered, 3 pairs concurrent" in log.summary()
    assert log.to_dict()["hosts"] == {"alice": 2, "bob": 1, "carol": 1}


@pytest.mark.parametrize("experiment", ["logical_clocks", "quorums", "leases", "siblings"])
def test_a_run_of_any_experiment_is_written_and_read_back(experiment):
    few = {"quorums": {"pairs": 5, "loss": 0.1, "partition": 0.1}, "leases": {"duration": 1.0}}
    result = run(experiment, seed=3, **few.get(experiment, {}))
    log = load(export(result))
    assert list(log.events) and not log.inconsistency
    assert [(event.host, event.clock, event.text) for event in log.events] == [
        (event.host, event.clock, event.text) for event in log_of(result)
    ]


def test_the_nodes_own_clocks_are_what_is_written_and_they_order_what_happened():
    result = run("logical_clocks", seed=3)
    execution, log = execution_of(result.notes), load(export(result))
    assert len(log.events) == len(execution.events) and log.ordered_pairs == execution.ordered_pairs


def test_clocks_that_were_not_merged_are_found_to_be_inconsistent():
    log = load(SMALL.replace('{"alice": 2, "bob": 1}', '{"alice": 2, "bob": 2}'))
    assert log.inconsistency.startswith("line 7: alice's clock") and "bob has no event 2" in log.inconsistency
    assert log.ordered_pairs is log.concurrent_pairs is None and "not counted" in log.summary()
    assert log.to_dict()["first_inconsistent_clock"] == log.inconsistency


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('"alice": 2, "bob": 1', '"alice": 3, "bob": 1'), "line 7: .* own entry is 3, and should be 2"),
        (('"alice": 2, "bob": 1', '"alice": 1, "bob": 1'), "line 7: .* own entry is 1, and should be 2"),
        (('{"carol": 1}', '{"carol": 1, "bob": 1}'), "line 5: .* bob's event 1 knew"),
        (('{"alice": 1}\nasks', '{"alice": 1, "bob": 1}\nasks'), "line 1: .* bob's event 1 knows this event already"),
    ],
)
def test_the_first_contradiction_is_told(change, why):
    assert re.match(why, load(SMALL.replace(*change)).inconsistency)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: the log has no event"),
        ("\n\n", "line 1: the log has no event"),
        ("alice is here\n", "line 1: 'alice is here' does not match the parser"),
        (SMALL + "nonsense\n", "line 9: 'nonsense' does not match the parser"),
        (SMALL.replace('{"carol": 1}', '{"carol": one}'), "line 5: the clock '{\"carol\": one}' is not JSON"),
        (
            SMALL.replace('{"carol": 1}', '{"carol": -1}'),
            "line 5: the clock's entry 'carol' is -1: it must be a whole number",
        ),
        (SMALL.replace('{"carol": 1}', '{"carol": true}'), "line 5: the clock's entry 'carol' is True"),
        (SMALL.replace('{"carol": 1}', '{"bob": 1}'), "line 5: the clock has no entry for its own host 'carol'"),
        (SMALL.replace('carol {"carol": 1}', ' {"carol": 1}'), "line 5: the event has no host"),
    ],
)
def test_bad_logs_are_refused_with_the_line(text, sentence):
    with pytest.raises(BadInput) as refused:
        load(text)
    assert str(refused.value).startswith(sentence)


def test_other_parsers_are_taken_as_shiviz_takes_them():
    event_first = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})"
    log = load('asks\nalice {"alice":1}\nhears\nbob {"bob":1,"alice":1}\n', event_first)
    assert [(event.host, event.text) for event in log.events] == [("alice", "asks"), ("bob", "hears")]
    assert [event.line for event in log.events] == [2, 4]
    one_line = r"(?<date>\d+) (?<host>\w+) (?<clock>\{.*\}) (?<event>.*)"
    assert load('17 a {"a": 1} begins\n', one_line).events[0].clock == Vector((("a", 1),))


@pytest.mark.parametrize("parser", ["(", "(?<host>.*)", r"(?<host>\S*) (?<clock>{.*})"])
def test_a_parser_that_cannot_work_is_refused(parser):
    with pytest.raises(BadInput, match=r"^parser is"):
        load(SMALL, parser)


def test_a_run_without_messages_kept_is_refused():
    with pytest.raises(BadInput, match="trace=True"):
        export(run("quorums", pairs=2, trace=False))


def test_the_default_is_shivizs_own():
    assert PARSER == r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)"
