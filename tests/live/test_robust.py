"""Whatever happens to a page, a live figure is neither dead nor lying."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.driver import COUNT_RUNS, LiveFigure, figures, opened
from tests.live.test_pages_live import truth

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(2700)]

LAB = "labs/09_quorums.html"
SHORT_LIMITS = "globalThis.labkitLimits = {pingMs: 1500, answerMs: 8000, aheadMs: 0, answersKept: 0};"
# As a browser does that blocks storage: to name it throws. Once more when the page is read in, since the browser sets
# its own up after scripts like this one; deferred scripts run later still.
NO_STORAGE = """
const refuse = () => { throw new DOMException("blocked", "SecurityError"); };
const block = () => {
  for (const name of ["localStorage", "sessionStorage"]) {
    Object.defineProperty(window, name, {get: refuse, configurable: true});
  }
};
block();
document.addEventListener("readystatechange", block);
"""
NO_WEBASSEMBLY = "delete globalThis.WebAssembly;"
A_HUNDRED_EVENTS = """async slider => {
  for (let event = 0; event < 100; event += 1) {
    slider.value = String(event % 2 ? 0 : 1 + event % Number(slider.max));
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}"""
ABSURD = (
    "#live=staleness&experiment=quorums&seed=7&read_quorum=1e999",
    "#live=staleness&experiment=quorums&seed=-1",
    "#live=staleness&experiment=quorums&seed=seven",
    "#live=staleness&experiment=clocks&seed=7",
    "#live=staleness&experiment=quorums&read_quorum=2&read_quorum=3",
    "#live=staleness&experiment=quorums&__proto__=1&constructor=2",
    "#live=staleness&experiment=quorums&read_quorum=%zz&loss=NaN",
    "#live=nothing&experiment=quorums",
    "#live=&&&===&=",
    "#live=staleness&read_quorum=" + "9" * 20_000,
    "#live=staleness&write_quorum=%F0%9F%98%80%00",
)


def is_true(answer: str) -> bool:
    """Whether it says what CPython answers. (A browser writes the numbers of what it carries in its own way.)"""
    return json.loads(answer) == json.loads(truth(answer))


def moved(figure: LiveFigure, name: str = "read_quorum") -> str:
    control = next(control for control in figure.controls() if control["name"] == name)
    figure.move_by_keyboard(control)
    return figure.settle()


def test_a_worker_that_is_killed_in_mid_run_is_replaced(pages: Path, browser, serve) -> None:
    with serve(pages) as address, opened(browser, address + LAB, SHORT_LIMITS) as page:
        figure = LiveFigure(page, "staleness")
        moved(figure)
        for _ in range(2):
            # In one go: a run that has ended meanwhile would not be killed in its middle.
            state = figure.control("write_delay").evaluate("""(slider) => {
                slider.value = String(Number(slider.value) + 1);
                slider.dispatchEvent(new Event("input", {bubbles: true}));
                globalThis.labkit.worker().terminate();
                return slider.closest("[data-labkit-live]").dataset.state;
            }""")
            assert state == "computing"
            found = figure.settle("exact", "unavailable")
            assert figure.state == "exact" and is_true(found)


def test_a_worker_that_is_killed_while_idle_is_replaced_at_the_next_touch(pages: Path, browser, serve) -> None:
    with serve(pages) as address, opened(browser, address + LAB, SHORT_LIMITS) as page:
        figure = LiveFigure(page, "staleness")
        before = moved(figure)
        page.evaluate("() => globalThis.labkit.worker().terminate()")
        figure.control("read_quorum").press("ArrowRight")
        page.wait_for_function(
            "before => document.querySelector('[data-labkit-live=staleness]').labkitAnswer !== before", arg=before
        )
        found = figure.settle("exact")
        assert is_true(found)


def test_a_hundred_events_in_a_second_end_at_the_last_with_one_run_in_flight(pages: Path, browser, serve) -> None:
    with serve(pages) as address, opened(browser, address + LAB, COUNT_RUNS) as page:
        figure = LiveFigure(page, "staleness")
        moved(figure)
        figure.control("write_delay").evaluate(A_HUNDRED_EVENTS)
        found = figure.settle("exact")
        runs = page.evaluate("() => window.runs")
        assert runs["most"] == 1 and 2 < runs["sent"] < 100 and runs["waiting"] == 0
        asked = figure.control("write_delay").evaluate("e => Number(e.value)")
        control = next(control for control in figure.controls() if control["name"] == "write_delay")
        assert json.loads(found)["request"]["parameters"]["write_delay"] == control["values"][asked]
        assert is_true(found)


def test_what_a_reader_may_ask_next_is_computed_ahead_and_is_the_truth(pages: Path, browser, serve) -> None:
    count = COUNT_RUNS.replace("aheadMs: 0, answersKept: 0", "aheadRunMs: 60000")
    with serve(pages) as address, opened(browser, address + LAB, count) as page:
        figure = LiveFigure(page, "latency")
        moved(figure, "delay")
        page.wait_for_function("() => window.runs.sent >= 2")  # where one step more leads, on either side
        before = figure.answer
        figure.control("delay").press("ArrowRight")
        page.wait_for_function(
            "before => document.querySelector('[data-labkit-live=latency]').labkitAnswer !== before", arg=before
        )
        found = figure.settle("exact")
        assert is_true(found)
        asked = [json.loads(request) for request in page.evaluate("() => window.runs.requests")]
        assert asked.count(json.loads(found)["request"]) == 1  # once, before the reader asked for it


def test_an_answer_that_comes_late_does_not_take_the_place_of_what_was_asked_after_it(
    pages: Path, browser, serve
) -> None:
    count = COUNT_RUNS.replace("aheadMs: 0, answersKept: 0", "aheadMs: 0")
    with serve(pages) as address, opened(browser, address + LAB, count) as page:
        figure = LiveFigure(page, "staleness")
        moved(figure, "write_delay")
        figure.element.locator('[data-action="reset"]').click()
        at_the_start = figure.settle("exact")
        # A run that takes a while, and at once a reset, whose answer is known.
        sent = figure.control("write_delay").evaluate("""(slider) => {
            slider.value = slider.max;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
            slider.closest("[data-labkit-live]").querySelector('[data-action="reset"]').click();
            return window.runs.sent;
        }""")
        page.wait_for_function("() => window.runs.waiting === 0")
        page.wait_for_timeout(500)
        assert page.evaluate("() => window.runs.sent") == sent  # the reset was answered from what the page had kept
        assert (figure.state, figure.answer) == ("exact", at_the_start)
        assert is_true(figure.answer)


@pytest.mark.parametrize("fragment", ABSURD, ids=[f"address {number}" for number in range(len(ABSURD))])
def test_an_absurd_address_is_answered_with_a_sentence_and_the_figures_work(
    pages: Path, browser, serve, fragment: str
) -> None:
    with serve(pages) as address, opened(browser, address + LAB + fragment) as page:
        said = " ".join(figure.says for figure in figures(page))
        assert "address" in said
        figure = LiveFigure(page, "staleness")
        found = moved(figure, "write_quorum")
        assert figure.state == "exact" and is_true(found)


def test_blocked_storage_costs_nothing_but_the_memory_of_predictions(pages: Path, browser, serve) -> None:
    problems: list[str] = []
    with serve(pages) as address, opened(browser, address + LAB, NO_STORAGE, problems) as page:
        figure = LiveFigure(page, "staleness")
        assert is_true(moved(figure))
        asked = page.locator('[data-labkit-prediction="stale-reads"]').first
        asked.get_by_role("slider").first.press("ArrowRight")
        assert "until you leave" in asked.inner_text()
        reveal = page.locator('[data-labkit-prediction="stale-reads"]').nth(1)
        assert "No prediction was made" not in reveal.inner_text()  # the page itself remembers
    ours = [problem for problem in problems if "labkit" in problem or "live-" in problem]
    assert not ours, ours


def unavailable_but_honest(page, figure: LiveFigure) -> None:
    controls = {control["name"]: control for control in figure.controls()}
    figure.move_by_keyboard(controls["read_quorum"])
    figure.settle("exact")  # this run came with the book
    assert "came with the book" in figure.says
    figure.move_by_keyboard(controls["loss"])
    figure.settle("unavailable")  # this one did not
    page.wait_for_function("() => document.querySelector('[data-labkit-live=staleness] .labkit-picture svg')")
    shown = json.loads(figure.answer)["request"]["parameters"]
    slider = figure.control("read_quorum")
    assert shown["read_quorum"] == controls["read_quorum"]["values"][int(slider.input_value())]
    assert shown["loss"] == controls["loss"]["value"] and "loss" in figure.says
    assert "labkit run" in figure.element.inner_text()


def test_without_webassembly_the_nearest_run_of_the_book_answers(pages: Path, browser, serve) -> None:
    with serve(pages) as address, opened(browser, address + LAB, NO_WEBASSEMBLY) as page:
        figure = LiveFigure(page, "staleness")
        unavailable_but_honest(page, figure)
        assert "WebAssembly" in figure.says


def test_where_python_does_not_arrive_the_nearest_run_of_the_book_answers(pages: Path, browser, serve) -> None:
    problems: list[str] = []
    with serve(pages) as address, opened(browser, address + LAB, problems=problems) as page:
        page.context.route("**/*.wasm", lambda route: route.abort())
        unavailable_but_honest(page, LiveFigure(page, "staleness"))
    # The browser itself reports what did not arrive; nothing else went wrong.
    assert all(".wasm" in problem or "ERR_FAILED" in problem or "Failed to fetch" in problem for problem in problems)


def test_pages_opened_from_a_file_answer_from_what_they_carry(pages: Path, browser) -> None:
    with opened(browser, (pages / LAB).as_uri()) as page:
        figure = LiveFigure(page, "staleness")
        unavailable_but_honest(page, figure)
        assert "file" in figure.says


def test_a_run_can_be_stepped_through_and_does_not_move_for_those_who_ask(pages: Path, browser, serve) -> None:
    with serve(pages) as address, opened(browser, address + LAB, reduced_motion="reduce") as page:
        figure = LiveFigure(page, "one-write-one-read")
        told = figure.element.locator(".labkit-event")
        whole = told.inner_text()
        step_back = figure.element.get_by_role("button", name="Step back")
        step_back.click()
        last = told.inner_text()
        step_back.click()
        assert len({whole, last, told.inner_text()}) == 3
        figure.element.get_by_role("button", name="Step forward").click()
        assert told.inner_text() == last
        scrubber = figure.element.get_by_role("slider", name="Moment of the run")
        scrubber.focus()
        scrubber.press("Home")
        first = told.inner_text()
        figure.element.get_by_role("button", name="Play").click()
        page.wait_for_function(
            "([element, first]) => element.textContent !== first", arg=[told.element_handle(), first]
        )
        figure.element.get_by_role("button", name="Pause").click()
        assert scrubber.get_attribute("aria-valuetext") == told.inner_text()
