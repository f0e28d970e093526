"""Choosing an event of the space-time diagram, in a browser: by keys, by pointer, and what is then said and seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.driver import LiveFigure, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(2700)]

LAB = "labs/15_logical_clocks.html"
COUNTS = re.compile(r"(\d+) events? before it, (\d+) after, (\d+) concurrent\.")


@pytest.fixture(params=[{}, {"reduced_motion": "reduce"}, {"viewport": {"width": 390, "height": 800}}])
def figure(request, pages: Path, browser, serve) -> Iterator[LiveFigure]:
    with serve(pages) as address, opened(browser, address + LAB, **request.param) as page:
        yield LiveFigure(page, "causes")


def counts(figure: LiveFigure) -> list[int]:
    """How many events are told to be before, after and beside the chosen one."""
    found = COUNTS.search(chooser(figure).inner_text())
    assert found, chooser(figure).inner_text()
    return [int(number) for number in found.groups()]


def chooser(figure: LiveFigure):
    return figure.element.locator(".labkit-causes")


def marks(figure: LiveFigure) -> list[int]:
    return [figure.element.locator(f".causes .{kind}").count() for kind in ("before", "after", "concurrent")]


def test_by_keys_an_event_is_found_chosen_and_left_again(figure: LiveFigure) -> None:
    chooser(figure).focus()
    plain = figure.element.locator("svg.labkit-scene").inner_html().replace(' class=""', "")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowRight"):
        chooser(figure).press(key)
    assert figure.element.locator(".causes .cursor").count() == 1
    told = figure.element.locator(".labkit-player [role=status]").text_content()
    assert told and told.startswith("At ") and not COUNTS.search(told)
    chooser(figure).press("Enter")
    assert marks(figure) == counts(figure)
    total = sum(counts(figure)) + 1
    assert total == len(figure.described["initial"]["picture"]["events"])
    assert COUNTS.search(figure.element.locator(".labkit-player [role=status]").text_content() or "")
    chooser(figure).press("Home")
    chooser(figure).press("Space")
    assert counts(figure)[0] == 0  # nothing is before the first event of a lane that has heard of nobody
    chooser(figure).press("Escape")
    assert figure.element.locator(".apart, .causes .before").count() == 0
    figure.element.get_by_role("button", name="Step back").focus()
    # Where nothing is chosen the drawing is what it was.
    assert figure.element.locator("svg.labkit-scene").inner_html().replace(' class=""', "") == plain


def test_by_pointer_the_nearest_event_is_chosen_and_a_click_beside_all_lets_go(figure: LiveFigure) -> None:
    arrow = figure.element.locator("svg .message line").first
    x, y = arrow.evaluate("e => [e.x1.baseVal.value, e.y1.baseVal.value]")
    figure.element.locator("svg.labkit-scene").scroll_into_view_if_needed()
    box = figure.element.locator("svg.labkit-scene").bounding_box()
    assert box is not None
    figure.page.mouse.click(box["x"] + x + 1, box["y"] + y + 2)
    assert marks(figure) == counts(figure)
    assert figure.page.evaluate("() => document.activeElement.className") == "labkit-causes"
    figure.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 4)
    assert marks(figure) == [0, 0, 0]


def test_to_play_the_run_lets_go_of_the_event(figure: LiveFigure) -> None:
    chooser(figure).focus()
    chooser(figure).press("ArrowRight")
    chooser(figure).press("Enter")
    figure.element.get_by_role("button", name="Step back").click()
    assert marks(figure) == [0, 0, 0]
    chooser(figure).focus()
    chooser(figure).press("ArrowRight")
    chooser(figure).press("Enter")
    assert figure.element.locator(".labkit-event").inner_text().startswith("The whole run")
