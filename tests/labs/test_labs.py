"""The labs keep to their form, and their asserts really are what holds their text."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
LABS = sorted((ROOT / "labs").glob("[0-9][0-9]_*.ipynb"))
SECTIONS = (
    "You will be able to", "Setup", "Idea", "Predict", "Run", "See", "Explain", "Break it", "On real processes",
    "What the guide says", "Write it yourself", "Exercises", "Next", "Further reading",
)  # fmt: skip
DIRECTIVE = re.compile(r"^(:::|```\{)", re.MULTILINE)

every_lab = pytest.mark.parametrize("path", LABS, ids=[path.stem for path in LABS])


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


@every_lab
def test_a_lab_has_every_section_in_order(path: Path) -> None:
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    headings = re.findall(r"^## (.*)$", text.replace("Run and see", "Run\n## See"), re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == list(SECTIONS)


@every_lab
def test_a_lab_is_short_and_plain(path: Path) -> None:
    assert len(nbformat.read(path, as_version=4).cells) <= 45
    assert not any(DIRECTIVE.search(cell.source) for cell in cells(path, "markdown"))
    assert not any("input(" in cell.source for cell in cells(path, "code"))


@every_lab
def test_a_lab_asserts_what_it_claims_and_each_exercise_has_a_solution_that_does(path: Path) -> None:
    code = cells(path, "code")
    assert sum(cell.source.count("assert ") for cell in code) >= 10
    folded = [cell for cell in code if "hide-input" in cell.metadata.get("tags", [])]
    solutions = [cell for cell in folded if "judge(" not in cell.source]  # those of rules: tests/judging
    exercises = sum(len(re.findall(r"^\*\*★", cell.source, re.MULTILINE)) for cell in cells(path, "markdown"))
    assert len(solutions) == exercises >= 3
    assert all("assert " in cell.source for cell in solutions)


@pytest.mark.real
@pytest.mark.timeout(180)
def test_a_planted_wrong_claim_makes_a_notebook_fail(tmp_path: Path) -> None:
    """Turn the truth of one assert round, and nbval must say so: the labs' claims are checked, not decoration."""
    lab = nbformat.read(ROOT / "labs" / "09_quorums.ipynb", as_version=4)
    setup, planted = lab.cells[2], None
    for cell in lab.cells:
        if cell.cell_type == "code" and "assert late.verdicts" in cell.source:
            planted = cell
    assert planted is not None and 'status == "ILLEGAL"' in planted.source
    lab.cells = [setup, planted]
    assert nbval(tmp_path / "true.ipynb", lab) == 0
    planted.source = planted.source.replace('status == "ILLEGAL"', 'status == "OK"')
    assert nbval(tmp_path / "planted.ipynb", lab) == 1


def nbval(path: Path, notebook: nbformat.NotebookNode) -> int:
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(path.parent)]
    options = ["-c", "/dev/null", "--nbval-lax", "--nbval-cell-timeout=60", str(path)]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, cwd=ROOT).returncode
