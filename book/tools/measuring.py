"""Measure the built pages as a reader meets them: what they weigh, and how soon a live figure answers.

Usage: ``python -m book.tools.measuring``, after ``make book``. Prints one JSON object of figures by name; exit code 3
and one sentence where the pages, Playwright or Chromium are missing.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from book.tools.layout import Layout
from book.tools.serving import in_background
from labkit.doctor import BROWSERS

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
PAGE, FIGURE, CONTROL = "labs/09_quorums.html", "latency", "delay"
TIMEOUT_MS = 60_000

# Places along the slider. A reader looks at each picture, and meanwhile the page computes what may be asked next; one
# who drags the slider does not. No place is visited twice with the same seed: no answer is kept from an earlier look.
FIRST, STEPS, JUMPS = [17], list(range(3, 16)), [20, 4, 15, 7, 22, 10, 2, 17, 12, 5, 19, 9, 14]
LOOKING_MS, DRAGGING_MS = 700, 50
# From the event of a slider's move to the frame in which its exact picture stands.
TIMED_MOVES = """async ([name, control, places, pause, seed]) => {
  const figure = document.querySelector(`[data-labkit-live="${name}"]`);
  const slider = figure.querySelector(`[data-control="${control}"] input`);
  // Watched, not polled frame by frame: that would take a core from the worker that is being timed.
  const changed = () => new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no exact answer: ${figure.dataset.state}`)), 60000);
    const observer = new MutationObserver(() => {
      if (figure.dataset.state !== "exact" || figure.labkitAnswer === before) return;
      observer.disconnect();
      clearTimeout(late);
      requestAnimationFrame(resolve);
    });
    const before = figure.labkitAnswer;
    observer.observe(figure, {attributes: true, subtree: true, childList: true, characterData: true});
  });
  const times = [];
  figure.querySelector('input[data-control="seed"]').value = String(seed);
  for (const place of places) {
    const shown = changed(), begin = performance.now();
    slider.value = String(place);
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    await shown;
    times.push(performance.now() - begin);
    await new Promise(resolve => setTimeout(resolve, pause));
  }
  return {times, events: JSON.parse(figure.labkitAnswer).events};
}"""
# What stands there when the page has been read in: text, and a picture in each figure.
READABLE = """() => document.querySelector("h1").textContent.length > 0
  && [...document.querySelectorAll("[data-labkit-live]")].every(e => e.querySelector(".labkit-picture svg"))"""


class Missing(Exception):
    """Something that measuring needs is not there; its text says what."""


def measure(pages: Path) -> dict[str, float]:
    """The figures by name. Takes about ten seconds; starts a browser with an empty cache."""
    if not (pages / PAGE).is_file():
        raise Missing("the pages are not built: run make book first")
    with in_background(pages) as address, browser() as chromium, chromium.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        received = transfers(context, page)
        page.goto(address + PAGE, wait_until="networkidle")
        if any(url.endswith(".wasm") for url in received["urls"]):
            raise AssertionError("the page loads wasm before anybody has touched it")
        if not page.evaluate(READABLE):
            raise AssertionError("the page is not readable before the first touch")
        weight = received["bytes"]
        painted = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
        first = page.evaluate(TIMED_MOVES, [FIGURE, CONTROL, FIRST, LOOKING_MS, 1])
        steps = page.evaluate(TIMED_MOVES, [FIGURE, CONTROL, STEPS, LOOKING_MS, 2])
        jumps = page.evaluate(TIMED_MOVES, [FIGURE, CONTROL, JUMPS, LOOKING_MS, 3])
        hurried = page.evaluate(TIMED_MOVES, [FIGURE, CONTROL, JUMPS, DRAGGING_MS, 4])
    return {
        "page, kB before the first touch": weight / 1000,
        "page, first paint after (s)": painted / 1000,
        "live figure, first exact result after the first touch, cold cache (s)": first["times"][0] / 1000,
        "live figure, events of a run": float(jumps["events"]),
        "live figure, slider to picture, step after step, median (ms)": median(steps["times"]),
        "live figure, slider to picture, jumps, median (ms)": median(jumps["times"]),
        "live figure, slider to picture, jumps without a pause, median (ms)": median(hurried["times"]),
    }


def transfers(context: Any, page: Any) -> dict[str, Any]:
    """What the page has received so far: bytes as they came over the wire, and addresses."""
    received: dict[str, Any] = {"bytes": 0.0, "urls": []}
    session = context.new_cdp_session(page)
    session.send("Network.enable")

    def finished(event: dict[str, Any]) -> None:
        received["bytes"] += event["encodedDataLength"]

    session.on("Network.loadingFinished", finished)
    session.on("Network.requestWillBeSent", lambda event: received["urls"].append(event["request"]["url"]))
    return received


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Missing("pages are measured with Playwright: install labkit with its extra 'test'") from None
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise Missing(f"pages are measured in Chromium, and none is on the path (looked for {', '.join(BROWSERS)})")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        try:
            yield chromium
        finally:
            chromium.close()


def main() -> int:
    """Print the figures and return the exit code."""
    try:
        print(json.dumps(measure(Layout(ROOT).html)))
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
