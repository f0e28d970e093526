"""Logs for ShiViz: written and read back, refused with the line's number, and judged by their own clocks."""

from __future__ import annotations

import re

import pytest

from labkit import run
from labkit.causal_events import ARRIVE, BEGIN, END, SEND, causal_events
from labkit.causality import Vector, vector
from labkit.checkers.causality import execution_of
from labkit.errors import BadInput
from labkit.history import Message, Recording
from labkit.results import Result
from labkit.shiviz import PARSER, SHIVIZ_DEFAULT, export, load, log_of

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


EVENT_FIRST = 'asks\nalice {"alice":1}\nhears\nbob {"bob":1,"alice":1}\n'
HOST_FIRST = 'alice {"alice":1}\nasks\nbob {"bob":1,"alice":1}\nhears\n'


def test_what_is_exported_says_how_it_is_to_be_read_as_an_upload_to_shiviz_must():
    parser, delimiter, log = export(run("logical_clocks", seed=3, events=3)).split("\n", 2)
    assert (parser, delimiter) == (PARSER, "")
    assert load(f"{parser}\n{delimiter}\n{log}").events[0].line == 3
    assert [str(event) for event in load(log).events] == [str(event) for event in load(log, PARSER).events]


@pytest.mark.parametrize(
    "text",
    [
        HOST_FIRST,
        EVENT_FIRST,
        f"\n\n{EVENT_FIRST}",  # an upload that leaves the parser to ShiViz
        f"{PARSER}\n\n{HOST_FIRST}",
        f"{SHIVIZ_DEFAULT}\n\n{EVENT_FIRST}",
        f"\ufeff{PARSER}\r\n\r\n{HOST_FIRST}",
        "^" + PARSER + f"$\n\n{HOST_FIRST}",
    ],
    ids=["host first", "event first", "blank head", "named", "named default", "Windows", "anchored"],
)
def test_logs_are_read_in_every_form_that_shiviz_takes(text):
    assert [(event.host, event.text) for event in load(text).events] == [("alice", "asks"), ("bob", "hears")]


@pytest.mark.parametrize(
    ("text", "parser", "sentence"),
    [
        (f"{PARSER}\n=== (?<trace>.*) ===\n{HOST_FIRST}", None, "the log has several executions"),
        (f"{PARSER}\n\n{HOST_FIRST}nonsense", None, "line 7: 'nonsense' does not match the parser"),
        ("alice sleeps\n", r"(?<host>\w+) (?<event>\w+)(?<clock> \{.*\})?", "line 1: the parser found no clock"),
        ('alice {"alice": ' + "[" * 5_000 + "}\nasks\n", None, "line 1: the clock"),
    ],
    ids=["several", "named", "no clock", "deep"],
)
def test_what_cannot_be_read_is_told_with_its_line(text, parser, sentence):
    with pytest.raises(BadInput) as refused:
        load(text, parser)
    assert str(refused.value).startswith(sentence)


def test_a_hosts_events_may_come_in_any_order():
    late = 'alice {"alice":2}\ngoes\nalice {"alice":1}\nasks\n'
    assert not load(late).inconsistency
    twice = 'alice {"alice":1}\nasks\nalice {"alice":1}\nasks again\n'
    assert load(twice).inconsistency.startswith("line 3: alice's clock")


@pytest.mark.parametrize("seed", range(3))
def test_without_delays_an_operation_still_begins_before_it_ends_and_hears_before_it_does(seed):
    dials = {"delay": 0.0, "think": 0.0, "edits": 3, "clients": 3}
    log = load(export(run("siblings", seed=seed, **dials)))
    assert not log.inconsistency
    for host in ("client-1", "client-2", "client-3"):
        told = [event.text for event in log.events if event.host == host]
        began = answered = 0
        for text in told:
            began += text.startswith("begins ")
            answered += text.startswith("receives answer")
            ended = sum(" ends, " in earlier for earlier in told[: told.index(text) + 1])
            assert ended <= min(began, answered)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("delay", [0.0, 0.005])
def test_nothing_comes_before_what_it_follows_from_nor_before_an_earlier_time_of_its_node(seed, delay):
    events = causal_events(run("siblings", seed=seed, delay=delay, think=0.0))
    place = {(event.kind, id(event.subject)): number for number, event in enumerate(events)}
    for kind, cause in ((END, BEGIN), (ARRIVE, SEND)):
        followers = [event for event in events if event.kind == kind]
        assert followers
        assert all(place[cause, id(event.subject)] < place[kind, id(event.subject)] for event in followers)
    for node in {event.node for event in events}:
        times = [event.at_us for event in events if event.node == node]
        assert times == sorted(times)


def travelled(*messages):
    """The order of what machines with clocks of their own have recorded: source, target, sent, arrived."""
    sent = [Message(at, source, target, "tell", False, *times) for at, (source, target, *times) in enumerate(messages)]
    result = Result("none", "ray", 0, {}, Recording(messages=sent, messages_sent=len(sent)))
    return [(event.kind, event.subject.number) for event in causal_events(result)]


def test_a_node_waits_for_an_arrival_though_the_senders_machine_puts_the_sending_later():
    # What b sends at 12 may follow from what it received at 10, and a's machine says was sent at 15.
    assert travelled(("a", "b", 15, 10), ("b", "c", 12, 20)) == [(SEND, 0), (ARRIVE, 0), (SEND, 1), (ARRIVE, 1)]


def test_machines_whose_times_contradict_each_other_give_an_order_all_the_same():
    # Each sends after it has received what the other has not sent yet.
    found = travelled(("a", "b", 15, 10), ("b", "a", 15, 10))
    assert sorted(found) == [(ARRIVE, 0), (ARRIVE, 1), (SEND, 0), (SEND, 1)]
    for number in (0, 1):
        assert found.index((SEND, number)) < found.index((ARRIVE, number))
