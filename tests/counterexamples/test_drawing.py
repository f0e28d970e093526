"""A counterexample drawn: nothing over anything, at any width, and nothing told by colour alone."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.counterexamples import as_text, draw, steps_of
from labkit.counterexamples.axis import axis_of
from labkit.counterexamples.layout import BADGE, NARROWEST, lay_out, text_width
from labkit.counterexamples.steps import MOST_STEPS, shown
from labkit.errors import BadInput
from labkit.history import Operation
from labkit.naming import Names
from labkit.results import HOLDS, Result, Verdict
from tests.counterexamples.stories import LATE, MISSED, READ, STALE, WRITE, verdicts

BOXES = """
svg => [...svg.querySelectorAll("text")].map(text => {
  const box = text.getBoundingClientRect(), all = svg.getBoundingClientRect();
  return [box.left - all.left, box.right - all.left, box.top - all.top, box.bottom - all.top, text.textContent];
})
"""


def boxes_of_labels(steps):
    for bar in lay_out(steps).bars:
        left = bar.left * NARROWEST - bar.shift
        yield left, left + BADGE + text_width(bar.step.label), bar.top - 24, bar.top - 2, bar.step.label


def boxes_of_bars(steps):
    for bar in lay_out(steps).bars:
        yield bar.left * NARROWEST, bar.right * NARROWEST, bar.top, bar.top + 10, bar.step.label


def overlapping(one, other, slack: float = 0.5) -> bool:
    apart = one[1] <= other[0] + slack or other[1] <= one[0] + slack
    return not (apart or one[3] <= other[2] + slack or other[3] <= one[2] + slack)


@settings(max_examples=150, deadline=None)
@given(verdicts())
def test_no_label_stands_on_another_label_or_on_a_bar(verdict):
    steps, _ = shown(steps_of(verdict))
    for one, other in itertools.combinations(boxes_of_labels(steps), 2):
        assert not overlapping(one, other), (one, other)
    for label, bar in itertools.product(boxes_of_labels(steps), boxes_of_bars(steps)):
        assert not overlapping(label, bar), (label, bar)
    for left, right, *_ in boxes_of_labels(steps):
        assert left >= -0.01 or right - left > NARROWEST
        assert right <= NARROWEST + 0.01


@settings(max_examples=100, deadline=None)
@given(verdicts())
def test_the_drawing_is_whole_and_says_in_words_what_it_shows(verdict):
    root = ElementTree.fromstring(draw(verdict))
    title, described = root[0].text, root[1].text
    assert title == "Counterexample to “a property”"
    steps, left_out = shown(steps_of(verdict))
    assert all(f"{step.place}: " in described for step in steps) and len(steps) <= MOST_STEPS
    assert ("is what must not be" in described) == any(step.offending for step in steps)
    assert ("left out" in described) == bool(left_out)


@settings(max_examples=100, deadline=None)
@given(verdicts(), st.integers(40, 120))
def test_a_terminal_gets_lines_that_fit(verdict, width):
    text = as_text(verdict, width)
    assert all(len(line) <= width for line in text.splitlines()), text
    steps, _ = shown(steps_of(verdict))
    told = text.split("\n\n")[1]
    assert all(re.search(rf"^[ !] *{step.place} ", told, re.M) for step in steps)
    assert bool(re.search(r"^! *\d", told, re.M)) == any(step.offending for step in steps)


@settings(max_examples=100, deadline=None)
@given(verdicts())
def test_time_goes_on_from_left_to_right_also_across_a_break(verdict):
    axis = axis_of(steps_of(verdict))
    times = sorted({step.begin_us for step in steps_of(verdict)})
    places = [axis.at(time) for time in times]
    assert all(0 <= place <= 1 for place in places)
    assert all(one < other for one, other in itertools.pairwise(places)) or len(times) == 1
    ticks = [place for place, _ in axis.ticks(NARROWEST, 52)]
    assert all((other - one) * NARROWEST >= 51.9 for one, other in itertools.pairwise(ticks))


def test_a_long_gap_is_cut_out_and_the_cut_is_shown():
    late = Operation("a", "read", "x", 1, 900_000, 905_000, "ok")
    verdict = Verdict.against("p", "why", (WRITE, "one"), (late, "two"))
    assert len(axis_of(steps_of(verdict)).breaks) == 1 and "cut short at //" in draw(verdict)
    assert not axis_of(steps_of(STALE)).breaks and "//" not in draw(STALE).replace("http://", "")


def test_names_are_short_and_the_true_ones_stay_at_hand():
    assert [step.label for step in steps_of(STALE)] == ["write x = 1", "read x → nothing"]
    svg = draw(STALE)
    assert ">write x = 1<" in svg and "write(&#x27;client-1/0&#x27;, &#x27;client-1.0&#x27;)" in svg
    assert "client-1/0" not in as_text(STALE)


def test_names_are_those_of_the_page_if_it_shows_a_longer_history():
    first = Operation("client-2.0", "write", "client-2/0", "client-2.0", 0, 5, "ok")
    assert steps_of(STALE, Names.of([first, WRITE, READ]))[0].label == "write y = 1"


def test_the_offending_step_has_a_shape_of_its_own():
    diamond = r"M8 -9.5L17.5 0"
    assert len(re.findall(diamond, draw(STALE))) == 1
    assert not re.findall(diamond, draw(Verdict.against("p", "why", (WRITE, MISSED), (READ, LATE), offending=None)))
    assert as_text(STALE).splitlines()[1].strip().startswith("[!2!!")


def test_what_became_of_an_operation_is_told_by_shape_too():
    def bar(**changes) -> str:
        step = Operation("a", "write", "x", 1, 10, **{"returned_us": 20, "outcome": "ok", **changes})
        return draw(Verdict.against("p", "why", (step, "role"), offending=None))

    ok, refused = bar(), bar(outcome="fail")
    unknown, silent = bar(outcome="unknown"), bar(outcome="unknown", returned_us=None)
    assert "stroke-dasharray" not in ok and "stroke-dasharray" in unknown
    assert "refused" in refused and "outcome unknown" in unknown
    assert "M-9 -7L1 0" in silent and "M-9 -7L1 0" not in unknown


def test_a_file_of_its_own_has_its_size_and_its_colours():
    assert "var(" in draw(STALE) and 'width="100%"' in draw(STALE)
    alone = draw(STALE, width=680)
    assert "var(" not in alone and "currentColor" not in alone and 'width="680"' in alone


def test_texts_of_a_run_are_text():
    evil = Operation("<b>", "write", "</text><script>", "&", 1, 2, "ok")
    svg = draw(Verdict.against("<i>", "why", (evil, "<script>")))
    assert "<script" not in svg and "<b>" not in svg and ElementTree.fromstring(svg) is not None


def test_a_verdict_without_a_counterexample_draws_nothing():
    bare = Verdict("p", HOLDS)
    assert draw(bare) == as_text(bare) == "" and steps_of(bare) == ()
    with pytest.raises(BadInput, match="width is 12: it must be at least 40"):
        as_text(STALE, 12)


def test_a_notebook_shows_the_drawing():
    result = Result("e", "simulated", 7, {}, None, verdicts=[STALE])  # type: ignore[arg-type]
    assert draw(STALE) in result._repr_html_() and draw(STALE) in STALE._repr_html_()
    assert "&lt;b&gt;" in Verdict("<b>", HOLDS)._repr_html_()


@pytest.mark.browser
def test_no_text_stands_on_another_as_a_browser_sets_it(browser):
    page = browser.new_page(viewport={"width": 800, "height": 600})
    crowd = [Operation(f"client-{n % 3}.{n}", "write", "key-0", f"client-{n % 3}.{n}", n * 900, n * 900 + 2_500, "ok")
             for n in range(10)]  # fmt: skip
    many = Verdict.against("p", "why", *((step, f"{MISSED}, or else {LATE}") for step in crowd))
    for verdict, width in itertools.product((STALE, many), (NARROWEST, 358, 680)):
        page.set_content(f'<body style="margin:0"><div style="width:{width}px">{draw(verdict)}</div>')
        boxes = page.locator("svg").first.evaluate(BOXES)
        assert len(boxes) > 8
        for one, other in itertools.combinations(boxes, 2):
            assert not overlapping(one, other, slack=3), (width, one, other)
        assert all(box[0] >= -1 and box[1] <= width + 1 for box in boxes), boxes
    page.close()
