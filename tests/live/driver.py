"""Drives the live figures of a built page as a reader does: by keyboard, by pointer, and by the page's address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page

from tests.book.page_checker import listen

ANSWER_MS = 60_000
SETTLED = ("exact", "refused", "unavailable")
OFFSETS_ALONG_A_SLIDER = (0.15, 0.85, 0.5)

COMPUTE_ALL = "globalThis.labkitLimits = {aheadMs: 0, answersKept: 0};"
"""Every answer is computed when it is asked for: none beforehand, and none from memory."""

COUNT_RUNS = """
globalThis.labkitLimits = {aheadMs: 0, answersKept: 0};
window.runs = {sent: 0, waiting: 0, most: 0, requests: []};
const Real = window.Worker;
window.Worker = class extends Real {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({data}) => { if (typeof data.id === "number") window.runs.waiting -= 1; });
  }
  postMessage(message, ...rest) {
    if (message.kind === "answer") {
      window.runs.sent += 1; window.runs.waiting += 1; window.runs.requests.push(message.request);
      window.runs.most = Math.max(window.runs.most, window.runs.waiting);
    }
    super.postMessage(message, ...rest);
  }
};
"""


class LiveFigure:
    """One figure of a page that is open."""

    def __init__(self, page: Page, name: str):
        self.page = page
        self.name = name
        self.element = page.locator(f'[data-labkit-live="{name}"]')

    @property
    def state(self) -> str:
        """What the figure says that it shows."""
        return self.element.get_attribute("data-state") or ""

    @property
    def answer(self) -> str:
        """The answer that is shown, as the text that was computed."""
        return self.element.evaluate("figure => figure.labkitAnswer")

    @property
    def picture(self) -> str:
        """The picture's marks and what it is called; Vega may write the same marks in another order."""
        drawn = self.element.locator(".labkit-picture").first
        marks = sorted(drawn.evaluate("e => e.innerHTML").replace("><", ">\n<").split("\n"))
        return "\n".join([drawn.get_attribute("aria-label") or "", *marks])

    @property
    def numbers(self) -> str:
        """Every number below the picture, also those in what is folded away."""
        return self.element.locator(".labkit-numbers").evaluate("e => e.textContent")

    @property
    def says(self) -> str:
        """The line above the picture: what it is of, or why there is none."""
        parts = self.element.locator(".labkit-says .labkit-status, .labkit-says .labkit-alert").all_inner_texts()
        return " ".join(parts)

    @property
    def described(self) -> dict[str, Any]:
        """The figure's description, as the page carries it."""
        return json.loads(self.element.locator("script.labkit-description").text_content() or "")

    def controls(self) -> list[dict[str, Any]]:
        """What can be moved."""
        return self.described["controls"]

    def control(self, name: str) -> Locator:
        """The input of one control."""
        return self.element.locator(f'[data-control="{name}"]').locator("input, select").first

    def seed(self) -> Locator:
        """The field of the seed."""
        return self.element.locator('input[data-control="seed"]')

    def settle(self, *states: str) -> str:
        """Wait until the picture is of what the controls say, or says that it is not; returns the answer."""
        wanted = list(states or SETTLED)
        self.page.wait_for_function(
            '([name, states]) => states.includes(document.querySelector(`[data-labkit-live="${name}"]`).dataset.state)',
            arg=[self.name, wanted],
            timeout=ANSWER_MS,
        )
        return self.answer

    def move_by_keyboard(self, control: dict[str, Any]) -> None:
        """One step away from where it stands, as a reader without a mouse makes it."""
        found = self.control(control["name"])
        found.focus()
        if control["kind"] == "range":
            found.press("ArrowLeft" if at_the_end(found) else "ArrowRight")
        elif control["kind"] == "switch":
            found.press("Space")
        else:
            # Headless Chromium opens no list; typing chooses, as in any browser.
            found.select_option(index=1 if control["value"] == control["values"][0] else 0)

    def move_by_pointer(self, control: dict[str, Any], share: float) -> None:
        """Click at a place along the slider, or on the switch."""
        found = self.control(control["name"])
        found.scroll_into_view_if_needed()
        if control["kind"] == "range":
            box = found.bounding_box()
            assert box is not None
            found.click(position={"x": 8 + share * (box["width"] - 16), "y": box["height"] / 2})
        elif control["kind"] == "switch":
            found.click()

    def reset(self) -> None:
        """Back to where everything began."""
        self.element.locator('[data-action="reset"]').click()


def at_the_end(slider: Locator) -> bool:
    """Whether a slider has no further step to the right."""
    return slider.evaluate("e => e.value === e.max")


@contextmanager
def opened(
    browser: Browser, address: str, script: str = "", problems: list[str] | None = None, **options: Any
) -> Iterator[Page]:
    """A page in a window of its own; fails at the end if it asked another host for anything, or met an error.

    `script` runs before the page's own; give a list for `problems` to look at them yourself.
    """
    with browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}) as context:
        context.set_default_timeout(30_000)
        page = context.new_page()
        if script:
            page.add_init_script(script)
        found = listen(page, urlsplit(address).netloc)
        page.goto(address, wait_until="load")
        yield page
        if problems is None:
            assert not found, "\n".join(found)
        else:
            problems += found


def figures(page: Page) -> list[LiveFigure]:
    """The live figures of a page, from top to bottom."""
    names = page.locator("[data-labkit-live]").evaluate_all("found => found.map(e => e.dataset.labkitLive)")
    return [LiveFigure(page, name) for name in names]
