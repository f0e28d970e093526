"""The network's rules: each acts on one message, at its sender."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import BadInput, Constant, Exponential, Link, Network, Uniform
from labkit.network import Outbox


def message(target: str, method: str = "read", is_reply: bool = False, number: int = 1, payload=((), None)) -> tuple:
    return (number, "a", target, is_reply, method, payload)


def delays(outbox: Outbox, target: str, count: int = 20) -> list[tuple[int, ...]]:
    return [outbox.route(message(target), 0)[0] for _ in range(count)]


def test_each_link_may_have_rules_of_its_own():
    network = Network(Link(Constant(0.001)), links={("a", "c"): Link(Constant(0.005), loss=1.0)})
    outbox = Outbox("a", network, seed=1)
    assert outbox.route(message("b"), 0) == ((1000,), "sent")
    assert outbox.route(message("c"), 0) == ((), "lost")
    assert Outbox("c", network, seed=1).route(message("a"), 0) == ((1000,), "sent")


def test_each_leg_of_an_exchange_may_have_a_delay_of_its_own():
    legs = {("write", "request"): Constant(0.2), ("write", "reply"): Constant(0.3)}
    outbox = Outbox("a", Network(Link(Constant(0.1)), legs=legs), seed=1)
    assert outbox.route(message("b", "write"), 0)[0] == (200_000,)
    assert outbox.route(message("b", "write", is_reply=True), 0)[0] == (300_000,)
    assert outbox.route(message("b", "read"), 0)[0] == (100_000,)


def test_a_node_reaches_itself_at_once_whatever_the_network_does():
    outbox = Outbox("a", Network(Link(Constant(1.0), loss=1.0)), seed=1)
    outbox.cut(["a", "b"])
    outbox.hold(["a"])
    assert outbox.route(message("a"), 0) == ((0,), "sent")


@pytest.mark.parametrize("share", [0.02, 0.5])
@pytest.mark.parametrize("kind", ["loss", "duplication"])
def test_loss_and_duplication_happen_as_often_as_they_say(kind, share):
    outbox = Outbox("a", Network(Link(Constant(0.001), **{kind: share})), seed=2)
    fates = [outbox.route(message("b"), 0)[1] for _ in range(10_000)]
    hit = fates.count({"loss": "lost", "duplication": "duplicated"}[kind])
    assert abs(hit - 10_000 * share) <= 4 * math.sqrt(10_000 * share * (1 - share))
    assert hit + fates.count("sent") == 10_000


def test_a_duplicate_has_a_delay_of_its_own():
    outbox = Outbox("a", Network(Link(Uniform(0, 1), duplication=1.0)), seed=1)
    (one, other), fate = outbox.route(message("b"), 0)
    assert fate == "duplicated"
    assert one != other


@given(
    st.lists(st.integers(0, 50_000), max_size=40),
    st.integers(0, 1000),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from(["read", "write"]),
)
def test_without_reordering_a_link_is_first_in_first_out(gaps, seed, hazard, second_method):
    link = Link(Exponential(0.02), loss=hazard, duplication=hazard, reordering=0.0)
    outbox = Outbox("a", Network(link, legs={("write", "request"): Constant(0)}), seed)
    now = latest = 0
    for position, gap in enumerate(gaps):
        now += gap
        for delay in outbox.route(message("b", second_method if position % 2 else "read"), now)[0]:
            assert delay >= 0
            assert now + delay >= latest
            latest = now + delay


def overtakers(reordering: float) -> int:
    outbox = Outbox("a", Network(Link(Uniform(0, 20e-6), reordering=reordering)), seed=3)
    arrivals = [now + outbox.route(message("b"), now)[0][0] for now in range(0, 10_000, 10)]
    return sum(later < earlier for earlier, later in pairwise(arrivals))


def test_the_more_reordering_the_more_messages_overtake():
    found = [overtakers(reordering) for reordering in (0.0, 0.2, 1.0)]
    assert found[0] == 0
    assert 0 < found[1] < found[2] / 2
    assert found[2] > 100


def test_more_traffic_on_one_link_changes_nothing_on_another():
    network = Network(Link(Exponential(0.02), duplication=0.2))
    quiet, busy = Outbox("a", network, seed=4), Outbox("a", network, seed=4)
    found = []
    for _ in range(20):
        delays(busy, "c", 3)
        found += delays(busy, "b", 1)
    assert found == delays(quiet, "b")
    assert delays(quiet, "b") != delays(quiet, "c")


def test_seeds_and_directions_have_streams_of_their_own():
    network = Network(Link(Exponential(0.02)))
    ab, ba = Outbox("a", network, seed=1), Outbox("b", network, seed=1)
    other_seed = Outbox("a", network, seed=2)
    sequences = [delays(ab, "b"), delays(ba, "a"), delays(other_seed, "b")]
    assert len(set(map(tuple, sequences))) == 3
    assert sequences[0] == delays(Outbox("a", network, seed=1), "b")
    assert delays(Outbox("a", network, seed="1/ray"), "b") not in sequences


def test_a_partition_loses_what_is_sent_until_it_heals():
    outbox = Outbox("a", Network(Link(Constant(0.001))), seed=1)
    outbox.cut(["b"])
    outbox.cut(["c"])
    assert [outbox.route(message(name), 0)[1] for name in "bcd"] == ["partitioned", "partitioned", "sent"]
    outbox.heal()
    assert [outbox.route(message(name), 0)[1] for name in "bcd"] == ["sent"] * 3


def test_what_was_held_is_released_in_the_order_of_sending():
    outbox = Outbox("a", Network(), seed=1)
    outbox.hold(["b", "c"])
    sent = [message("bc"[number % 2], number=number) for number in range(6)]
    assert [outbox.route(one, 0) for one in sent] == [((), "held")] * 6
    assert outbox.release() == sent
    assert outbox.release() == []
    assert outbox.route(sent[0], 0)[1] == "sent"


def test_a_held_message_is_a_copy_of_what_was_sent():
    outbox = Outbox("a", Network(), seed=1)
    outbox.hold(["b"])
    basket = ["apple"]
    outbox.route(message("b", payload=((basket,), None)), 0)
    basket.append("pear")
    assert outbox.release()[0][5] == ((["apple"],), None)


def test_links_can_change_and_keep_what_was_not_changed():
    network = Network(Link(Constant(0.001), duplication=1.0), links={("a", "c"): Link(Constant(0.002))})
    outbox = Outbox("a", network, seed=1)
    outbox.set_link(loss=1.0)
    assert [outbox.route(message(name), 0)[1] for name in "bc"] == ["lost", "lost"]
    outbox.set_link(loss=0.0)
    assert outbox.route(message("b"), 0) == ((1000, 1000), "duplicated")
    assert outbox.route(message("c"), 0) == ((2000,), "sent")
    assert network.default.loss == 0


@pytest.mark.parametrize("name", ["loss", "duplication", "reordering"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_probability_is_from_0_to_1(name, value):
    with pytest.raises(BadInput, match=f"{name} is {value!r}: it must be a probability from 0 to 1"):
        Link(**{name: value})


FAR = Link(Constant(0.08), legs={("write", "request"): Constant(0.1) + 0.075})


def test_a_message_takes_its_leg_of_its_link_then_its_leg_then_its_link():
    network = Network(
        Link(Constant(0.001), legs={("ping", "reply"): Constant(0.004)}),
        links={("a", "far"): FAR},
        legs={("write", "request"): Constant(0.002), ("read", "reply"): Constant(0.003)},
    )
    outbox = Outbox("a", network, seed=1)
    taken = {
        (target, method, is_reply): outbox.route(message(target, method, is_reply), 0)[0][0]
        for target in ("near", "far")
        for method in ("write", "read", "ping")
        for is_reply in (False, True)
    }
    assert taken == {
        ("near", "write", False): 2000, ("near", "write", True): 1000,
        ("near", "read", False): 1000, ("near", "read", True): 3000,
        ("near", "ping", False): 1000, ("near", "ping", True): 4000,
        ("far", "write", False): 175_000, ("far", "write", True): 80_000,
        ("far", "read", False): 80_000, ("far", "read", True): 3000,
        ("far", "ping", False): 80_000, ("far", "ping", True): 80_000,
    }  # fmt: skip


def test_legs_of_a_link_stay_when_the_links_change():
    outbox = Outbox("a", Network(links={("a", "far"): FAR}), seed=1)
    outbox.set_link(duplication=1.0)
    assert outbox.route(message("far", "write"), 0)[0] == (175_000, 175_000)


@given(st.integers(0, 1000), st.floats(0, 1))
def test_a_link_that_is_longer_draws_the_same_stream(seed, by):
    near = Network(Link(Exponential(0.02)))
    far = Network(links={("a", "b"): Link(Exponential(0.02) + by)})
    longer = [delay - round(by * 1e6) for (delay,) in delays(Outbox("a", far, seed), "b")]
    assert longer == [delay for (delay,) in delays(Outbox("a", near, seed), "b")]


@pytest.mark.parametrize("name", [("write", "answer"), "write", ("a", "b", "write", "request")])
def test_a_leg_is_a_request_or_a_reply(name):
    for make in (lambda: Network(legs={name: Constant(1)}), lambda: Link(legs={name: Constant(1)})):
        with pytest.raises(BadInput, match="legs has"):
            make()


def test_a_network_names_what_there_is():
    with pytest.raises(BadInput, match="links has 'a'"):
        Network(links={"a": Link()})
    with pytest.raises(BadInput, match="links names 'c': the nodes are a, b"):
        Network(links={("a", "c"): Link()}).check(["a", "b"], [])
    for network in (Network(legs={("wirte", "reply"): Constant(1)}), Network(links={("a", "b"): FAR})):
        with pytest.raises(BadInput, match="legs names"):
            network.check(["a", "b"], ["read"])
