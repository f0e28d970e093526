"""Placements against their papers: what is published of them, and what they promise of every key."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import BadInput
from labkit.placement import Jump, Modulo, Range, Rendezvous, Ring, Vertical, hash64, jump, loads, mixed, moved

KEYS = range(1, 3001)
NAMES = [f"shard-{number}" for number in range(1, 13)]

# In the tests of several independent implementations; the third column is what figure 1 of the paper gives.
PUBLISHED_JUMPS = [
    (1, 1, 0), (42, 57, 43), (0xDEAD10CC, 1, 0), (0xDEAD10CC, 666, 361), (256, 1024, 520), (0, 2, 0), (4, 2, 1),
    (1, 128, 55), (129, 128, 120), (2**64 - 1, 128, 92),
]  # fmt: skip

PUBLISHED_SPREADS = {1: 0.9979060, 10: 0.3151810, 100: 0.0996996}
"""Lamping and Veach 2014, section 2: standard error of the bucket sizes of Karger's algorithm, 1000 buckets."""

hashes = st.integers(0, 2**64 - 1)
counts = st.integers(1, 11)


def grown(kind, count):
    return kind(NAMES[:count]), kind(NAMES[: count + 1])


@pytest.mark.parametrize(("key", "buckets", "bucket"), PUBLISHED_JUMPS)
def test_jump_gives_the_published_buckets(key, buckets, bucket):
    assert jump(key, buckets) == bucket


@pytest.mark.parametrize("kind", [Ring, Rendezvous, Jump])
@given(hashed=hashes, count=counts)
def test_a_key_that_moves_to_a_larger_system_moves_to_the_new_shard(kind, hashed, count):
    """Karger et al. 1997, monotonicity: a new bucket takes items from old ones, and no item moves between those."""
    before, after = grown(kind, count)
    old, new = before.shard_of_hash(hashed), after.shard_of_hash(hashed)
    assert new in (old, NAMES[count])


@pytest.mark.parametrize("kind", [Ring, Rendezvous])
@given(hashed=hashes, count=st.integers(2, 11), data=st.data())
def test_a_shard_that_goes_takes_only_its_own_keys_along(kind, hashed, count, data):
    gone = data.draw(st.sampled_from(NAMES[:count]))
    before = kind(NAMES[:count])
    after = before.resized([name for name in NAMES[:count] if name != gone])
    home = before.shard_of_hash(hashed)
    assert after.shard_of_hash(hashed) == home or home == gone


@given(hashed=hashes, order=st.permutations(NAMES))
def test_a_ring_and_rendezvous_do_not_depend_on_the_order_of_the_shards(hashed, order):
    for kind in (Ring, Rendezvous):
        assert kind(NAMES).shard_of_hash(hashed) == kind(order).shard_of_hash(hashed)


@given(hashed=hashes)
def test_the_ring_gives_a_key_to_the_next_point_clockwise(hashed):
    ring = Ring(NAMES[:4], points=3)
    points = {hash64(f"0/{name}/{index}"): name for name in NAMES[:4] for index in range(3)}
    following = min(points, key=lambda place: (place - hashed - 1) % 2**64)
    assert ring.shard_of_hash(hashed) == points[following]


@given(number=hashes)
def test_mixing_loses_nothing(number):
    # Each step can be undone: a shifted exclusive or, and a multiplication by an odd number.
    back = mixed(number)
    back = undo_shift(back, 31) * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
    back = undo_shift(back, 27) * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
    assert undo_shift(back, 30) == number


def undo_shift(number: int, bits: int) -> int:
    found = number
    for _ in range(64 // bits + 1):
        found = number ^ (found >> bits)
    return found


@pytest.mark.parametrize("points", PUBLISHED_SPREADS)
def test_the_spread_of_a_ring_is_the_published_one(points):
    """The arcs themselves are measured, without any key: what share of the circle has each shard?"""
    total, rings, shards = 0.0, 3, 1000
    for salt in range(rings):
        ring = Ring(range(shards), points, salt)
        arcs = dict.fromkeys(ring.shards, 0)
        for place, owner, previous in zip(ring._places, ring._owners, ring._places[-1:] + ring._places, strict=False):
            arcs[owner] += (place - previous) % 2**64
        total += sum((arc * shards / 2**64 - 1) ** 2 for arc in arcs.values()) / shards
    assert (total / rings) ** 0.5 == pytest.approx(PUBLISHED_SPREADS[points], rel=0.08)


def test_the_guides_letters():
    users = Range.by_letter(["Server 1", "Server 2"])
    assert [users.shard_of(name) for name in ("adams", "miller", "mz", "nash", "zhang")] == ["Server 1"] * 3 + [
        "Server 2"
    ] * 2
    assert Range.by_letter("abc").boundaries == ["irj", "rir"]


@pytest.mark.parametrize(("user", "shard"), [(1, 1), (1000, 1), (1001, 2), (2000, 2), (2001, 3), (3000, 3), (9999, 3)])
def test_the_guides_numbers(user, shard):
    assert Range.by_number([1, 2, 3], 1000).shard_of(user) == shard


@given(low=st.integers(1, 3000), length=st.integers(0, 500))
def test_a_range_scan_asks_the_shards_that_have_the_keys_and_no_other(low, length):
    users = Range.by_number([1, 2, 3], 1000)
    found = list(dict.fromkeys(users.shard_of(key) for key in range(low, low + length + 1)))
    assert list(users.shards_between(low, low + length)) == found
    assert Modulo([1, 2, 3]).shards_between(low, low + length) == (1, 2, 3)


def test_a_sampled_range_is_even_for_keys_like_its_sample():
    names = [f"{'m' if index % 10 else 'b'}{index:05}" for index in range(5000)]
    placed = loads(Range.by_sample(NAMES[:4], names[::7]), names)
    assert max(placed.values()) < 1.05 * len(names) / 4


@pytest.mark.parametrize(("before", "after", "share"), [(3, 4, 1 / 2), (10, 11, 1 / 2), (3, 6, 5 / 6)])
def test_equal_ranges_move_half_for_one_shard_more(before, after, share):
    keys = range(6600)
    equal = Range.by_sample(NAMES[:before], keys)
    assert moved(equal, equal.resized(NAMES[:after]), keys) == share * len(keys)


def test_parts_are_kept_whole_and_dealt_in_turn():
    parts = ("profile", "orders", "payments")
    three = Vertical(["Server 1", "Server 2", "Server 3"], parts)
    assert [three.shard_of((7, part)) for part in parts] == ["Server 1", "Server 2", "Server 3"]
    assert [three.resized(["a", "b"]).shard_of((7, part)) for part in parts] == ["a", "b", "a"]


@settings(max_examples=20)
@given(count=counts)
def test_modulo_moves_what_has_another_remainder(count):
    before, after = grown(Modulo, count)
    assert moved(before, after, KEYS) == sum(key % count != key % (count + 1) for key in KEYS)


@pytest.mark.parametrize("shards", [[], ["a", "a"]])
def test_shards_have_names_of_their_own(shards):
    with pytest.raises(BadInput, match="shards is"):
        Modulo(shards)


def test_no_points_are_no_ring():
    with pytest.raises(BadInput, match="points is 0"):
        Ring(NAMES, points=0)


def test_placements_are_the_same_in_another_process_whatever_its_hash_seed():
    rules = (
        "for rule in (Ring('abcdef'), Rendezvous('abcdef'), Jump('abcdef')): print([*map(rule.shard_of, range(50))])"
    )
    program = f"from labkit.placement import Jump, Rendezvous, Ring\n{rules}"
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert pickle.loads(pickle.dumps(Range.by_number("ab", 10))).shard_of(11) == "b"


@pytest.mark.parametrize("kind", [Ring, Rendezvous, Modulo, Jump])
def test_a_number_and_its_text_are_one_name(kind):
    with pytest.raises(BadInput, match="shards is"):
        kind([1, "1"])
    assert kind([1, "a"]).shard_of("x") in (1, "a")  # of two types, but told apart


@pytest.mark.parametrize(
    "ask",
    [
        lambda: jump(7, 0),
        lambda: jump(7, -3),
        lambda: jump(7, 2.5),
        lambda: jump(-1, 3),
        lambda: jump(2**64, 3),
        lambda: Ring("ab", points=1.5),
        lambda: Range("ab", lambda shards: [float("nan")]),
        lambda: Range("abc", lambda shards: [2, 1]),
        lambda: Range.by_number("ab", 0),
        lambda: Range.by_number("ab", -5),
        lambda: Range.by_sample("ab", []),
        lambda: Range.by_letter(range(26**3 + 1)),
        lambda: Range.by_number("ab", 10).shards_between(20, 5),
        lambda: Vertical("ab", []),
        lambda: Vertical("ab", ["profile", "profile"]),
        lambda: Vertical("ab", ["profile"]).shard_of((7, "orders")),
        lambda: Ring([]),
    ],
)
def test_what_cannot_be_placed_is_refused_in_one_sentence(ask):
    with pytest.raises(BadInput):
        ask()
