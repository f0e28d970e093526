"""The checkers of conservation against sums made another way, with one planted defect at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labkit.checkers.conservation import Stock, conserved, not_oversold
from labkit.history import Operation
from labkit.results import HOLDS, ILLEGAL, UNDECIDED

amounts = st.lists(st.integers(1, 5), max_size=6)


@st.composite
def honest(draw):
    """Stocks from which bookings took what there was, and no more."""
    stocks = []
    for number in range(draw(st.integers(1, 4))):
        took = {f"b{number}.{place}": amount for place, amount in enumerate(draw(amounts))}
        spare = draw(st.integers(0, 10))
        stocks.append(Stock("flight", f"flight-{number}", sum(took.values()) + spare, spare, took))
    return stocks


def changed(stock: Stock, left: int) -> Stock:
    return Stock(stock.service, stock.key, stock.initial, left, stock.took)


@given(honest())
def test_what_was_taken_honestly_is_conserved_and_never_oversold(stocks):
    assert conserved(stocks).status == HOLDS
    assert not_oversold(stocks).status == HOLDS


@given(honest(), st.integers(-3, 3).filter(bool), st.data())
def test_a_refund_or_a_charge_too_many_is_found_at_its_key(stocks, error, data):
    place = data.draw(st.integers(0, len(stocks) - 1))
    stocks[place] = changed(stocks[place], stocks[place].left + error)
    verdict = conserved(stocks)
    assert verdict.status == ILLEGAL
    assert verdict.explanation.startswith(f"1 of {len(stocks)} keys: flight-{place} at flight")
    said = f"{error} too many" if error > 0 else f"{-error} unaccounted for"
    assert verdict.explanation.endswith(said)


@given(honest(), st.integers(1, 3))
def test_a_seat_sold_twice_is_found_whether_it_is_counted_or_not(stocks, excess):
    first = stocks[0]
    took = dict(first.took) | {"one too many": first.left + excess}
    honest_books = Stock(first.service, first.key, first.initial, -excess, took)
    cooked_books = Stock(first.service, first.key, first.initial, 0, took)
    for oversold in (honest_books, cooked_books):
        verdict = not_oversold([oversold, *stocks[1:]])
        assert verdict.status == ILLEGAL and "1 of" in verdict.explanation
    assert conserved([honest_books]).status == HOLDS  # the two see different things
    assert conserved([cooked_books]).status == ILLEGAL


def test_the_counterexample_is_the_bookings_of_the_key_with_the_fewest():
    books = [Operation(f"b{n}", "book", (f"flight-{n % 2}", "account-1"), f"b{n}", n, n + 1, "ok") for n in range(5)]
    wrong = [Stock("flight", f"flight-{n}", 10, 10, {f"b{n}": 1}) for n in range(2)]
    verdict = conserved(wrong, books)
    assert [operation.value for operation in verdict.counterexample] == ["b1", "b3"]


def test_nothing_to_judge_is_no_success():
    assert conserved([]).status == UNDECIDED
    assert not_oversold([]).status == UNDECIDED
