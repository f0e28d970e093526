"""Every live figure of every built page: its controls move the picture, and what it shows is the truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labkit.live.answering import answer_json, canonical
from tests.live.driver import COMPUTE_ALL, OFFSETS_ALONG_A_SLIDER, LiveFigure, figures, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(2700)]

LABS = sorted((Path(__file__).parents[2] / "labs").glob("[0-9][0-9]_*.ipynb"))
CHAPTERS = sorted(file for file in (Path(__file__).parents[2] / "book").glob("*.md") if "```{live}" in file.read_text())
PAGES = (*(f"book/{chapter.stem}.html" for chapter in CHAPTERS), *(f"labs/{lab.stem}.html" for lab in LABS))


def test_no_page_with_a_live_figure_is_left_out(pages: Path) -> None:
    live = {
        file.relative_to(pages).as_posix() for file in pages.rglob("*.html") if "data-labkit-live" in file.read_text()
    }
    assert live == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_every_control_moves_picture_and_numbers_and_its_undo_gives_the_same_bytes(
    pages: Path, browser, serve, name: str
) -> None:
    with serve(pages) as address, opened(browser, address + name, COMPUTE_ALL) as page:
        found = figures(page)
        assert found
        for figure in found:
            check_keyboard(figure)
            check_pointer(figure)
        assert len(page.workers) == 1  # all figures of a page share it


def check_keyboard(figure: LiveFigure) -> None:
    figure.seed().focus()
    figure.seed().press("ArrowUp")
    figure.seed().press("ArrowDown")
    began = figure.settle("exact")
    assert began == truth(began)
    for control in figure.controls():
        where = f"{figure.name}, {control['name']}"
        picture, numbers = figure.picture, figure.numbers
        figure.move_by_keyboard(control)
        moved = figure.settle()
        assert moved is not None and moved != began, where
        assert moved == truth(moved), where
        if figure.state == "exact":
            assert (figure.picture, figure.numbers) != (picture, numbers), where
            assert figure.picture.startswith(json.loads(moved)["picture"]["text"]), where
        figure.reset()
        assert figure.settle("exact") == began, where
        assert (figure.picture, figure.numbers) == (picture, numbers), where


def check_pointer(figure: LiveFigure) -> None:
    began = figure.answer
    for control in figure.controls():
        if control["kind"] == "choice":
            continue  # a list of the browser's own, which no page can open
        answers = set()
        for share in OFFSETS_ALONG_A_SLIDER:
            figure.move_by_pointer(control, share)
            answers.add(figure.settle())
            if len(answers) > 1:
                break
        else:
            pytest.fail(f"{figure.name}, {control['name']}: nothing moves it")
        figure.reset()
        assert figure.settle("exact") == began


def truth(answer: str) -> str:
    """What CPython answers to the request that an answer echoes."""
    return answer_json(canonical(json.loads(answer)["request"]))


def test_a_page_teaches_before_any_touch_and_without_any_script(pages: Path, browser, serve) -> None:
    for name in PAGES:
        with serve(pages) as address, opened(browser, address + name, java_script_enabled=False) as page:
            for mount in page.locator("[data-labkit-live]").all():
                assert mount.locator(".labkit-picture svg").first.is_visible()
                assert mount.locator(".labkit-numbers table").first.is_visible()
                assert mount.locator(".labkit-picture").first.get_attribute("aria-label")


def test_an_address_opens_its_run_and_a_copied_link_opens_the_same(pages: Path, browser, serve) -> None:
    wanted = "#live=staleness&experiment=quorums&seed=11&read_quorum=2&write_quorum=2&read_after=0.013"
    context = {"permissions": ["clipboard-read", "clipboard-write"]}
    with serve(pages) as address:
        lab = address + "labs/09_quorums.html"
        with opened(browser, lab + wanted, **context) as page:
            figure = LiveFigure(page, "staleness")
            first = figure.settle("exact")
            request = json.loads(first)["request"]
            assert request["seed"] == 11 and request["parameters"]["read_after"] == 0.013
            assert first == truth(first)
            figure.element.get_by_role("button", name="Copy link").click()
            page.wait_for_timeout(200)
            copied = page.evaluate("() => navigator.clipboard.readText()")
            figure.element.get_by_role("button", name="Copy as command").click()
            page.wait_for_timeout(200)
            command = page.evaluate("() => navigator.clipboard.readText()")
        assert command.startswith(".venv/bin/labkit run quorums --seed 11 ") and "read_after=0.013" in command
        with opened(browser, copied) as page:
            assert LiveFigure(page, "staleness").settle("exact") == first


def test_a_prediction_is_kept_in_the_browser_and_drawn_against_the_result(pages: Path, browser, serve) -> None:
    with serve(pages) as address, opened(browser, address + "labs/09_quorums.html") as page:
        asked = page.locator('[data-labkit-prediction="stale-reads"]').first
        slider = asked.get_by_role("slider").first
        slider.focus()
        for _ in range(3):
            slider.press("ArrowRight")
        said = page.evaluate("() => JSON.stringify(Object.entries(localStorage))")
        assert "stale-reads" in said
        page.reload()
        reveal = page.locator('[data-labkit-prediction="stale-reads"]').nth(1)
        assert "measured" in reveal.inner_text() and "No prediction was made" not in reveal.inner_text()
