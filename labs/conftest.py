"""The labs' cells as tests: each notebook by itself, and what a whole one puts out is what the book shows."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from book.tools import executing
from book.tools.layout import Layout

LAYOUT = Layout(Path(__file__).parents[1])
KEY = pytest.StashKey[str]()
PASSED = pytest.StashKey[set[str]]()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each cell: a notebook starts nodes as processes of their own, and compares the times that they take."""
    item.add_marker("real")
    item.add_marker("timed")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note what the notebook's results depend on before the first of them is there."""
    if KEY not in item.parent.stash:
        item.parent.stash[KEY] = executing.notebook_key(LAYOUT, item.path)
        item.parent.stash[PASSED] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the outputs of a notebook all of whose cells have passed, so that the book need not run it again."""
    report = yield
    if report.when == "call" and report.passed:
        notebook, passed = item.parent.nb, item.parent.stash[PASSED]
        item.cell.outputs = item.test_outputs
        item.cell.execution_count = item.cell_num + 1
        passed.add(item.name)
        if len(passed) == sum(cell.cell_type == "code" for cell in notebook.cells):
            executing.take_over(LAYOUT, item.path, notebook, item.parent.stash[KEY])
    return report
