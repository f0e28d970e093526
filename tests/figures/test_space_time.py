"""The space-time diagram: every message where it was, every label readable, and too much refused."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib.patches import FancyArrowPatch

from labkit import run
from labkit.clocks import Timestamp
from labkit.errors import BadInput
from labkit.faults import Fault
from labkit.figures import space_time
from labkit.history import Message, Note, Operation, Recording
from labkit.results import Result
from labkit.scenes import choose_scene, fault_label, in_lanes, nodes_of, operation_label
from tests.figures.legibility import assert_legible

NODES = ["client-1", "replica-1", "replica-2"]


def made_of(*, duration_ms: float = 100, **what) -> Result:
    """A result with that recording."""
    recording = Recording(duration_us=round(duration_ms * 1000), **what)
    return Result("made", "simulated", 7, {}, recording)


def message(source: str, target: str, sent_ms: float, arrived_ms: float | None, fate: str = "sent", **more) -> Message:
    """A message, with times in milliseconds."""
    arrived = None if arrived_ms is None else round(arrived_ms * 1000)
    return Message(
        1,
        source,
        target,
        more.get("method", "write"),
        more.get("is_reply", False),
        round(sent_ms * 1000),
        arrived,
        fate,
    )


def arrows(figure) -> list[tuple[list[float], list[float]]]:
    """Begin and end of each arrow: milliseconds and height."""
    patches = [patch for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    return [tuple(map(list, patch._posA_posB)) for patch in patches]


def height_of(figure, node: str) -> float:
    """Where a node's lane is."""
    (name,) = [text for text in figure.axes[0].texts if text.get_text() == node]
    return name.xy[1]


def words_in(figure) -> list[str]:
    """Every label on the sheet."""
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.fixture(scope="module")
def one_pair() -> Result:
    """A write and a read by one client with three replicas."""
    return run("quorums", seed=7, clients=1, pairs=1, read_quorum=2, write_quorum=2)


@pytest.fixture(scope="module")
def two_clocks() -> Result:
    """Two servers of which one's clock is 50 ms behind, and what each noted."""
    return made_of(
        operations=[
            Operation("server-a", "write", "profile", "Ann", 100_000, 104_000, "ok"),
            Operation("server-b", "write", "profile", "Anna", 120_000, 124_000, "ok"),
            Operation("server-a", "read", "profile", "Ann", 140_000, 141_000, "ok"),
            Operation("server-b", "write", "x", 3, 144_000, 150_000, "fail"),
            Operation("server-a", "write", "x", 4, 145_000, None, "unknown"),
        ],
        messages=[
            message("server-a", "server-b", 101, 109, method="replicate"),
            message("server-b", "server-a", 109, 116, method="replicate", is_reply=True),
            message("server-b", "server-a", 121, 129, "duplicated", method="replicate"),
            message("server-b", "server-a", 121, 135, "duplicated", method="replicate"),
            message("server-b", "server-a", 145, None, "lost", method="replicate"),
        ],
        notes=[
            Note("server-a", "likes first", 101_000, 101_000, {"version": 1}),
            Note("server-b", "applied", 109_000, 59_000),
            Note("server-b", "likes second", 120_000, 70_000),
            Note("server-a", "kept its own", 129_000, 129_000),
            Note("server-a", "kept its own", 135_000, 135_000),
        ],
        faults=[
            Fault("clock step", 0.130, ("server-b",), amount=0.05),
            Fault("pause", 0.137, ("server-a",)),
            Fault("resume", 0.139, ("server-a",)),
        ],
        duration_ms=152,
    )


def test_one_write_and_one_read(one_pair, theme):
    figure = space_time(one_pair)
    assert_legible(figure)
    arrived = [entry for entry in one_pair.messages if entry.arrived_us is not None]
    expected = [
        (
            [pytest.approx(entry.sent_us / 1e3), pytest.approx(height_of(figure, entry.source))],
            [pytest.approx(entry.arrived_us / 1e3), pytest.approx(height_of(figure, entry.target))],
        )
        for entry in arrived
    ]
    assert arrows(figure) == expected
    assert words_in(figure).count("write") == 3 and words_in(figure).count("read") == 3
    write, read = one_pair.operations
    assert (write.key, write.value, read.value) == ("client-1/0", "client-1.0", "client-1.0")  # which have short names
    assert {"write x = 1 ✓", "read x → 1 ✓"} <= {*words_in(figure)}
    assert "6 requests" in figure.alt_text and "label" not in figure._supxlabel.get_text()


def test_requests_are_solid_and_replies_dashed(one_pair):
    patches = [patch for patch in space_time(one_pair).axes[0].patches if isinstance(patch, FancyArrowPatch)]
    arrived = [entry for entry in one_pair.messages if entry.arrived_us is not None]
    assert [patch.get_linestyle() == "-" for patch in patches] == [not entry.is_reply for entry in arrived]


def test_two_servers_and_their_clocks(two_clocks, theme):
    figure = space_time(two_clocks, clock_readings=True)
    assert_legible(figure)
    labels = words_in(figure)
    assert "likes second\nclock 70.0 ms" in labels and "likes first version 1\nclock 101.0 ms" in labels
    assert {"paused", "clock +0.05 s", "replicate lost", "write x = 3 → refused ✗", "write x = 4 ?"} <= set(labels)
    assert "Server-b notes likes second." in figure.alt_text
    assert "Pause of server-a from 137 ms to 139 ms." in figure.alt_text


def test_without_readings_notes_have_their_words_alone(two_clocks):
    labels = words_in(space_time(two_clocks))
    assert "likes second" in labels and not any("\nclock" in label for label in labels)


def test_labels_of_messages_can_be_left_out(one_pair):
    assert "write" not in words_in(space_time(one_pair, labels=False))


def test_partition_and_losses(cut_run, theme):
    (window,) = [window for window in cut_run.fault_windows if window.kind == "partition"]
    begin, end = max(window.begin - 0.03, 0.0), window.begin + 0.07
    figure = space_time(cut_run, begin=begin, end=end)
    assert_legible(figure)
    assert fault_label(window) in words_in(figure)
    fates = {entry.fate for entry in cut_run.messages if begin * 1e6 <= entry.sent_us <= end * 1e6}
    keys = {text.get_text() for text in figure.legends[0].get_texts()}
    assert "partitioned" in fates and "cut off" in keys
    assert ("lost" in fates) == ("lost" in keys)


def test_crashes(outage_run, theme):
    crash = next(window for window in outage_run.fault_windows if window.kind == "crash")
    figure = space_time(outage_run, begin=crash.begin, end=crash.begin + 0.1)
    assert_legible(figure)
    assert "crashed" in words_in(figure)


@pytest.mark.parametrize(
    ("fate", "says"), [("lost", "write lost"), ("partitioned", "write cut off"), ("held", "write held back")]
)
def test_a_message_that_never_arrived_ends_part_way(fate, says):
    figure = space_time(
        made_of(messages=[message("a", "b", 10, None, fate), message("a", "b", 20, 40)], duration_ms=60)
    )
    assert_legible(figure)
    (cross,) = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    (x,), (y,) = cross.get_xdata(), cross.get_ydata()
    assert 10 < x < 30  # the other message took 20 ms
    assert height_of(figure, "b") < y < height_of(figure, "a")
    assert says in words_in(figure)


def test_an_undelivered_message_ends_at_the_node_that_was_down():
    figure = space_time(
        made_of(
            messages=[message("a", "b", 10, None, "undelivered"), message("a", "b", 70, 71)],
            faults=[Fault("crash", 0.030, ("b",)), Fault("restart", 0.060, ("b",))],
        )
    )
    assert_legible(figure)
    (cross,) = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert cross.get_ydata()[0] == pytest.approx(height_of(figure, "b"))
    assert 30 <= cross.get_xdata()[0] <= 60


def test_a_crash_is_drawn_from_its_begin_to_its_end():
    faults = [Fault("crash", 0.030, ("b",)), Fault("restart", 0.060, ("b",))]
    figure = space_time(made_of(messages=[message("a", "b", 10, 20)], faults=faults))
    (box,) = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((30, 60))
    assert box.get_y() < height_of(figure, "b") < box.get_y() + box.get_height()


def test_too_many_messages_are_refused_with_a_way_out(quorum_run):
    with pytest.raises(
        BadInput, match=r"would draw [\d,]+ messages, more than 400: narrow it with begin and end"
    ) as refusal:
        space_time(quorum_run)
    begin, end = (
        float(text.split("=")[1].split()[0].rstrip(","))
        for text in str(refusal.value).split("(say ")[1].split(", ")[:2]
    )
    assert_legible(space_time(quorum_run, begin=begin, end=end))


def test_methods_and_nodes_narrow_the_scene(one_pair):
    scene = choose_scene(one_pair, None, None, ["client-1", "replica-2"], {"read"})
    assert {entry.method for entry in scene.messages} == {"read"}
    assert {name for entry in scene.messages for name in (entry.source, entry.target)} == {
        "client-1",
        "replica-2",
    }
    figure = space_time(one_pair, nodes=["replica-3", "client-1"], methods=["write"])
    assert_legible(figure)
    assert height_of(figure, "replica-3") > height_of(figure, "client-1")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"nodes": ["replica-9"]}, "nodes names 'replica-9': the run has client-1, replica-1"),
        ({"methods": ["reed"]}, "methods names 'reed': the run has read, write"),
        ({"begin": 2.0, "end": 1.0}, "end is 1 s: it must be after begin, which is 2 s"),
    ],
)
def test_bad_arguments_get_a_sentence(one_pair, arguments, complaint):
    with pytest.raises(BadInput, match=complaint):
        space_time(one_pair, **arguments)


def test_a_run_without_a_trace_is_refused():
    result = run("quorums", seed=7, pairs=5, trace=False)
    with pytest.raises(BadInput, match="trace=True"):
        space_time(result)


def test_clients_stand_outside_the_others(cut_run):
    nodes = ["client-1", "client-2", "replica-1", "replica-2", "replica-3"]
    assert in_lanes(nodes, cut_run) == ["client-1", "replica-1", "replica-2", "replica-3", "client-2"]


@pytest.mark.parametrize(
    ("operation", "label"),
    [
        (Operation("c", "write", "x", 1, outcome="ok"), "write x = 1 ✓"),
        (Operation("c", "read", "x", None, outcome="ok"), "read x → nothing ✓"),
        (Operation("c", "read", "x", 1, outcome="fail"), "read x → refused ✗"),
        (Operation("c", "charge", None, "$100", outcome="unknown"), "charge ?"),
        (Operation("c", "write", "x", Timestamp(98_749, 2, "a"), outcome="ok"), "write x = 98.7 ms+2 ✓"),
        (
            Operation("c", "write", "x", "a very long value indeed", outcome="ok"),
            "write x = a very long val… ✓",
        ),
    ],
)
def test_operation_labels(operation, label):
    assert operation_label(operation) == label


MOMENTS = st.integers(0, 100_000)
FATES = st.sampled_from(["sent", "sent", "sent", "duplicated", "lost", "partitioned", "undelivered"])


@st.composite
def recordings(draw) -> Recording:
    """Anything at all that might have happened between three nodes in a tenth of a second."""
    recording = Recording(duration_us=100_000)
    for _ in range(draw(st.integers(0, 25))):
        source, target = draw(st.permutations(NODES))[:2]
        sent, fate = draw(MOMENTS), draw(FATES)
        arrived = min(sent + draw(st.integers(0, 30_000)), 100_000) if fate in ("sent", "duplicated") else None
        method = draw(st.sampled_from(["write", "read", "prepare to commit"]))
        recording.messages.append(Message(1, source, target, method, draw(st.booleans()), sent, arrived, fate))
    for _ in range(draw(st.integers(0, 10))):
        begin = draw(MOMENTS)
        end = draw(st.one_of(st.none(), st.integers(begin, 100_000)))
        outcome = draw(st.sampled_from(["ok", "fail", "unknown"]))
        recording.operations.append(
            Operation("client-1", "write", "key", "v" * draw(st.integers(1, 20)), begin, end, outcome)
        )
    for _ in range(draw(st.integers(0, 8))):
        label = draw(st.sampled_from(["elected", "lease held", "votes for replica-1"]))
        recording.notes.append(Note(draw(st.sampled_from(NODES)), label, draw(MOMENTS), draw(MOMENTS)))
    for node in draw(st.lists(st.sampled_from(NODES[1:]), unique=True)):
        begin = draw(st.integers(0, 90_000)) / 1e6
        recording.faults += [
            Fault("crash", begin, (node,)),
            Fault("restart", begin + draw(MOMENTS) / 1e7, (node,)),
        ]
    if draw(st.booleans()):
        recording.faults.append(Fault("partition", draw(MOMENTS) / 1e6, ("client-1",), ("replica-1", "replica-2")))
    return recording.in_order()


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recordings(), st.booleans())
def test_no_label_ever_lies_upon_another(recording, clock_readings):
    result = Result("made", "simulated", 7, {}, recording)
    if not nodes_of(result):
        with pytest.raises(BadInput, match="nothing happened"):
            space_time(result)
        return
    assert_legible(space_time(result, clock_readings=clock_readings))


def test_a_message_on_its_way_at_the_end_runs_off_the_sheet():
    figure = space_time(
        made_of(messages=[message("a", "b", 10, 20), message("a", "b", 50, None, "undelivered")], duration_ms=60)
    )
    (line,) = [line for line in figure.axes[0].lines if line.get_xdata()[0] == pytest.approx(50)]
    assert line.get_xdata()[1] > 60
    assert "not delivered" not in figure.alt_text and "write not delivered" not in words_in(figure)
