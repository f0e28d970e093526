"""The same figure in JupyterLab: the kernel computes, and a button runs the dials on real processes."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil
import pytest
from playwright.sync_api import Page, TimeoutError

from book.tools import web
from book.tools.layout import Layout
from labkit.live.answering import answer_json, canonical
from tests.live.driver import LiveFigure

pytestmark = [pytest.mark.browser, pytest.mark.real, pytest.mark.timed, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
CELL = """
import ipywidgets
from labkit.live import latencies, live
figure = live("quorums", ["read_quorum", "delay"], latencies(), ["stale_reads", "read_p50"], real=True, pairs=60)
linked = ipywidgets.IntSlider(min=1, max=3)
ipywidgets.link((figure.dials, "read_quorum"), (linked, "value"))
display(figure, linked)
"""
OPTIONS = [
    "--no-browser",
    "--ServerApp.ip=127.0.0.1",
    "--LabApp.news_url=None",
    "--allow-root",
    "--ServerApp.port_retries=0",
]


@pytest.fixture(scope="module")
def bundle() -> None:
    """What `make lab` builds before JupyterLab opens."""
    web.make_widget(Layout(ROOT))


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """JupyterLab on a port of its own; everything that it started is gone afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        *OPTIONS,
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={folder}",
    ]
    home = {"JUPYTER_DATA_DIR": str(folder / ".data"), "JUPYTER_CONFIG_DIR": str(folder / ".config")}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, f"--IdentityProvider.token={token}"], stdout=log, stderr=log, cwd=ROOT, env=os.environ | home
        )
        started: set[psutil.Process] = set()
        try:
            wait_for_port(port, server, folder / "server.log")
            yield f"http://127.0.0.1:{port}/lab/tree/one.ipynb?token={token}"
        finally:
            started = set(psutil.Process(server.pid).children(recursive=True))
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
            left = psutil.wait_procs(started, timeout=20)[1]
            for process in left:
                process.kill()
    assert not left, f"left running: {left}"


def wait_for_port(port: int, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab does not answer:\n{log.read_text()}")


def run_the_cell(page: Page) -> LiveFigure:
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    figure = page.locator('[data-labkit-live="quorums"][data-state]').first
    # JupyterLab drops what is typed before it and its kernel are ready, and shows no sign that it now is.
    for _ in range(6):
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Control+Enter")
        try:
            figure.wait_for(timeout=15_000)
        except TimeoutError:
            continue
        return LiveFigure(page, "quorums")
    raise AssertionError("the cell shows no live figure")


def test_the_figure_in_jupyterlab_is_computed_by_the_kernel_and_measured_on_real_processes(
    browser, bundle: None, tmp_path: Path
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.strip())])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "one.ipynb")
    problems: list[str] = []
    with jupyterlab(tmp_path) as address, browser.new_context(viewport={"width": 1400, "height": 1400}) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        figure = run_the_cell(page)
        figure.control("read_quorum").focus()
        figure.control("read_quorum").press("ArrowRight")
        one = figure.settle("exact")
        assert json.loads(one)["request"]["parameters"]["read_quorum"] == 2
        assert one == truth(one)
        page.wait_for_function("() => document.querySelector('.widget-readout').textContent.trim() === '2'")
        figure.control("read_quorum").press("ArrowRight")
        page.wait_for_function("one => document.querySelector('[data-labkit-live]').labkitAnswer !== one", arg=one)
        assert figure.settle("exact") == truth(figure.answer)
        figure.control("read_quorum").press("ArrowLeft")
        page.wait_for_function("one => document.querySelector('[data-labkit-live]').labkitAnswer === one", arg=one)
        figure.element.get_by_role("button", name="Run on real processes").click()
        left = figure.element.locator(".labkit-left")
        left.filter(has_text="A process starts for each node").wait_for()
        left.filter(has_text=re.compile(r"About \d+ s left|Any moment now")).wait_for(timeout=120_000)
        page.wait_for_function(
            "() => (document.querySelector('[data-labkit-live]').labkitAnswer ?? '').includes('measured_shown')",
            timeout=120_000,
        )
        measured = json.loads(figure.answer)
        assert measured["request"] == json.loads(one)["request"]
        assert "measured" in measured["picture"]["text"].lower()
        assert all(entry["measured_shown"] for entry in measured["measures"])
        assert figure.element.locator(".labkit-picture svg").first.is_visible()
        # The kernel was busy with the run: only now may it have heard of the last move, and moved the other slider.
        page.wait_for_function("() => document.querySelector('.widget-readout').textContent.trim() === '2'")
        page.locator(".noUi-handle").first.press("ArrowRight")  # a slider of ipywidgets', linked to the figure's dial
        page.wait_for_function(
            "one => document.querySelector('[data-labkit-live]').labkitAnswer !== one", arg=figure.answer
        )
        assert json.loads(figure.settle("exact"))["request"]["parameters"]["read_quorum"] == 3
    assert not [problem for problem in problems if "labkit" in problem.lower()], problems


def truth(answer: str) -> str:
    return answer_json(canonical(json.loads(answer)["request"]))
