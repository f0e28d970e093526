"""What nbval has run, the book shows: a notebook is run once, if all of it has passed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from book.tools import executing
from book.tools.layout import Layout

ROOT = Path(__file__).parents[2]
DRAWN = """\
class Drawn:
    def _repr_mimebundle_(self, **_):
        return {"image/png": "aGVsbG8=", "text/plain": "What it\\nshows"}
Drawn()"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A repository with two labs, the second of which fails in its last cell."""
    layout = Layout(tmp_path)
    layout.labs.mkdir()
    shutil.copyfile(ROOT / "labs/conftest.py", layout.labs / "conftest.py")
    (tmp_path / "labkit").mkdir()
    (tmp_path / "requirements.lock").write_text("as it was")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    real\n    timed\n")
    write(layout, "01_right.ipynb", "print('one')\nprint('two')", "6 * 7", DRAWN)
    write(layout, "02_wrong.ipynb", "6 * 7", "assert 6 * 7 == 41")
    return layout


def write(layout: Layout, name: str, *cells: str) -> None:
    made = [nbformat.v4.new_code_cell(cell, id=f"c{number}") for number, cell in enumerate(cells)]
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Lab", id="m"), *made]), layout.labs / name
    )


def nbval(layout: Layout, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--nbval-lax", "labs"]
    done = subprocess.run(
        [*command, *options], cwd=layout.root, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, timeout=100, check=False,
    )  # fmt: skip
    return done.stdout


def test_a_notebook_that_has_passed_is_not_run_again_and_looks_the_same(layout: Layout) -> None:
    assert "1 failed, 4 passed" in nbval(layout)
    taken = nbformat.read(layout.executed / "01_right.ipynb", as_version=4)
    assert not (layout.executed / "02_wrong.ipynb").exists()
    (layout.labs / "02_wrong.ipynb").unlink()
    assert executing.execute_stale(layout) == []
    (layout.executed / "01_right.key").unlink()
    assert [file.name for file in executing.execute_stale(layout)] == ["01_right.ipynb"]
    own = nbformat.read(layout.executed / "01_right.ipynb", as_version=4)
    assert [cell.get("outputs") for cell in taken.cells] == [cell.get("outputs") for cell in own.cells]
    assert taken.cells[3].metadata.mystnb == own.cells[3].metadata.mystnb == {"image": {"alt": "What it shows"}}


def test_some_cells_are_not_a_notebook(layout: Layout) -> None:
    assert "2 passed" in nbval(layout, "--deselect", "labs/01_right.ipynb::Cell 1", "--deselect", "labs/02_wrong.ipynb")
    assert not layout.executed.exists()


def test_what_was_changed_under_way_is_run_again(layout: Layout) -> None:
    write(layout, "01_right.ipynb", "open('../labkit/new.py', 'w').close()")
    assert "passed" in nbval(layout, "--deselect", "labs/02_wrong.ipynb")
    assert not layout.executed.exists()
