"""Every page can be used with a keyboard, a screen reader, and little contrast in one's eyes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.book.page_checker import Window, pages_below

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(2700)]

AXE = Path(__file__).parents[2] / "_build/npm/node_modules/axe-core/axe.min.js"
RUN_AXE = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
  .filter(found => ['serious', 'critical'].includes(found.impact))
  .flatMap(found => found.nodes.map(node => `${found.id}: ${node.html.slice(0, 120)}`))"""
WINDOWS = [(theme, width) for theme in ("light", "dark") for width in (1280, 390)]
PLANTED = {
    "low contrast": ('<p style="color: #aaa; background: #fff">Hardly to be read</p>', "color-contrast"),
    "nameless button": ("<button></button>", "button-name"),
    "nameless link": ('<a href="/"></a>', "link-name"),
    "picture without words": ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "image-alt"),
}


def findings(page, address: str) -> list[str]:
    """What axe holds against a page, if it is serious."""
    page.goto(address, wait_until="load")
    page.evaluate(AXE.read_text())
    return page.evaluate(RUN_AXE)


@pytest.fixture
def open_page(pages, browser, serve):
    """Open a page of the book in a window as wide as a desk's."""
    with serve(pages) as address, closing(Window(browser, "light", 1280)) as window:

        def visit(name: str):
            page = window.context.new_page()
            page.goto(address + name, wait_until="load")
            page.wait_for_load_state("networkidle")
            return page

        yield visit


@pytest.mark.parametrize(("theme", "width"), WINDOWS)
def test_axe_finds_nothing_serious(pages, browser, serve, theme, width):
    problems = []
    with serve(pages) as address, closing(Window(browser, theme, width)) as window:
        page = window.context.new_page()
        for file in pages_below(pages):
            name = file.relative_to(pages).as_posix()
            if name != "index.html":  # it only leads on to book/index.html
                problems += [f"{name}: {found}" for found in findings(page, address + name)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(("body", "rule"), PLANTED.values(), ids=PLANTED.keys())
def test_axe_finds_what_is_planted(pages, browser, serve, tmp_path, body, rule):
    page = f'<!doctype html><html lang="en"><title>Page</title><main><h1>Page</h1>{body}</main></html>'
    (tmp_path / "page.html").write_text(page)
    with serve(tmp_path) as address, closing(Window(browser, "light", 390)) as window:
        found = findings(window.context.new_page(), address + "page.html")
    assert any(line.startswith(rule) for line in found), found


def test_first_tab_leads_past_the_navigation(open_page):
    page = open_page("book/quorums.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.wait_for_function("document.activeElement.getBoundingClientRect().top >= 0")  # it slides into view
    page.keyboard.press("Enter")
    page.wait_for_url("**#main-content")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_is_dark_where_the_system_is(pages, browser, serve, theme):
    with serve(pages) as address, closing(browser.new_context(color_scheme=theme)) as context:
        page = context.new_page()
        page.goto(address + "book/index.html", wait_until="load")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.dataset.theme") == theme


def test_second_tab_leads_to_the_first_figure(open_page):
    page = open_page("labs/09_quorums.html")
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the first figure"
    page.keyboard.press("Enter")
    first = page.locator("[data-labkit-live]").first
    page.wait_for_function("document.activeElement.closest('[data-labkit-live]') !== null")
    assert first.evaluate("figure => figure.contains(document.activeElement)")


def test_a_group_of_buttons_is_one_stop(open_page):
    page = open_page("labs/09_quorums.html")
    figure = page.locator("[data-labkit-live]").first
    for bar in figure.get_by_role("toolbar").all():
        places = bar.locator(":scope > button").evaluate_all("all => all.map(button => button.tabIndex)")
        assert places == [0] + [-1] * (len(places) - 1) and len(places) >= 2
    steps = figure.get_by_role("toolbar", name="Step by step")
    steps.get_by_role("button", name="Step back").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Play"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Step back"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Step forward"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Moment of the run"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Step forward"  # where one was


def test_keyboard_works_the_controls(open_page):
    page = open_page("labs/09_quorums.html")
    menu = page.locator(".dropdown-launch-buttons")
    menu.locator("button").focus()
    page.keyboard.press("Enter")
    menu.locator(".dropdown-menu.show").wait_for()
    page.keyboard.press("Escape")
    menu.locator(".dropdown-menu").wait_for(state="hidden")
    page.locator(".theme-switch-button").focus()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid", "focus from the keyboard is seen"
    before = page.evaluate("document.documentElement.dataset.mode")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.mode") != before
    page.keyboard.press("Control+k")
    page.locator(".search-button__wrapper.show input").wait_for()
    page.keyboard.type("sloppy quorum")
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.wait_for()


def test_definition_appears_on_focus_and_on_hover(open_page):
    page = open_page("book/quorums.html")
    link = page.locator("a[data-definition]").first
    assert link.get_attribute("href").endswith("glossary.html#term-linearizability")
    described = page.locator(f"[id='{link.get_attribute('aria-describedby')}']")
    card = page.locator(".definition")
    link.hover()
    card.wait_for()
    assert card.inner_text() == described.text_content()
    assert card.inner_text().startswith("Every operation appears to take effect at one instant")
    card.hover()
    page.wait_for_timeout(400)
    assert card.is_visible(), "the pointer may go there and stay"
    page.keyboard.press("Escape")
    card.wait_for(state="detached")
    page.mouse.move(0, 0)
    page.locator("#main-content a, #main-content button").first.focus()
    while not page.evaluate("document.activeElement.matches('a[data-definition]')"):
        page.keyboard.press("Tab")
    card.wait_for()
    page.keyboard.press("Tab")
    card.wait_for(state="detached")


def test_first_tap_defines_and_second_follows(pages, browser, serve):
    options = {"has_touch": True, "viewport": {"width": 390, "height": 844}}
    with serve(pages) as address, closing(browser.new_context(**options)) as phone:
        page = phone.new_page()
        page.goto(address + "book/quorums.html", wait_until="load")
        link = page.locator("a[data-definition]").first
        link.tap()
        page.locator(".definition").wait_for()
        box = page.locator(".definition").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
        link.tap()
        page.wait_for_url("**/glossary.html#term-linearizability")


def test_motion_is_left_out_where_it_is_not_wanted(open_page):
    page = open_page("labs/14_clocks.html")
    page.emulate_media(reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll('body *')].filter(e => {
      const style = getComputedStyle(e);
      const glides = style.transitionProperty !== 'none' && parseFloat(style.transitionDuration) > 0;
      return glides || style.animationName !== 'none';
    }).map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(moving) == []


def test_paper_shows_the_text_and_no_controls(open_page):
    page = open_page("book/quorums.html")
    page.emulate_media(media="print")
    assert page.locator("article h1").is_visible()
    shown = """() => [...document.querySelectorAll('button, nav, form, .bd-sidebar')]
      .filter(e => e.checkVisibility()).map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(shown) == []
