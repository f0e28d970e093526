"""The labs keep to their form, and their asserts really are what holds their text."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from sphinx.util.nodes import _make_id

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
    assert len(nbformat.read(path, as_version=4).cells) <= 40
    assert not any(DIRECTIVE.search(cell.source) for cell in cells(path, "markdown"))
    assert not any("input(" in cell.source for cell in cells(path, "code"))


def visible(path: Path) -> list[str]:
    return [cell.source for cell in cells(path, "code") if "hide-input" not in cell.metadata.get("tags", [])]


@every_lab
def test_what_a_lab_shows_of_its_code_is_short_and_its_checks_are_sentences(path: Path) -> None:
    sources = visible(path)
    lengths = [len([line for line in source.splitlines() if line.strip()]) for source in sources]
    assert sum(lengths) <= 140
    assert max(lengths) <= 12
    assert not any(re.search(r"^\s*assert\b", source, re.MULTILINE) for source in sources)
    folded = [cell for cell in cells(path, "code") if "hide-input" in cell.metadata.get("tags", [])]
    assert all(cell.metadata.jupyter.source_hidden for cell in folded)  # in JupyterLab as in the page
    assert sum(cell.source.count("Checks(") for cell in folded) >= 5
    assert any("judged(" in cell.source for cell in folded)


def terms() -> set[str]:
    """The places of the glossary's terms, as Sphinx makes them."""
    text = (ROOT / "book/glossary.md").read_text().replace("'", "’")
    blocks = re.findall(r"^:::\{glossary\}\n(.*?)^:::$", text, re.MULTILINE | re.DOTALL)
    names = [line for block in blocks for line in block.splitlines() if re.match(r"\S", line)]
    return {f"term-{_make_id(name)}" for name in names}


@every_lab
def test_a_lab_links_to_terms_that_the_glossary_has(path: Path) -> None:
    linked = [
        anchor
        for cell in cells(path, "markdown")
        for anchor in re.findall(r"\]\(\.\./book/glossary\.md#([^)]+)\)", cell.source)
    ]
    assert {*linked} <= terms()
    assert len(linked) == len({*linked})  # at its first use
    assert len(linked) >= 5


@every_lab
def test_each_exercise_has_a_folded_solution_that_asserts_what_it_says(path: Path) -> None:
    code = cells(path, "code")
    folded = [cell for cell in code if {"hide-input", "hide-output"} <= {*cell.metadata.get("tags", [])}]
    solutions = [cell for cell in folded if "judge(" not in cell.source]  # those of rules: tests/judging
    exercises = sum(len(re.findall(r"^\*\*★", cell.source, re.MULTILINE)) for cell in cells(path, "markdown"))
    assert len(solutions) == exercises >= 3
    assert all("assert " in cell.source for cell in solutions)
    assert all(cell.source.startswith("# Solution") for cell in solutions)  # what JupyterLab shows of a folded cell


@pytest.mark.real
@pytest.mark.timeout(180)
def test_a_planted_wrong_number_in_a_check_makes_a_notebook_fail(tmp_path: Path) -> None:
    """Turn the truth of one check round, and nbval must say so: the labs' claims are checked, not decoration."""
    lab = nbformat.read(ROOT / "labs" / "09_quorums.ipynb", as_version=4)
    (planted,) = [cell for cell in lab.cells if 'check("this read missed the write", stale[0] == 1)' in cell.source]
    lab.cells = [setup_of(lab), planted]
    assert nbval(tmp_path / "true.ipynb", lab) == 0
    planted.source = planted.source.replace("stale[0] == 1", "stale[0] == 0")
    assert nbval(tmp_path / "planted.ipynb", lab) == 1


@pytest.mark.real
@pytest.mark.timeout(240)
def test_so_does_one_in_a_claim(tmp_path: Path) -> None:
    lab = nbformat.read(ROOT / "labs" / "09_quorums.ipynb", as_version=4)
    (claims,) = [cell for cell in lab.cells if cell.cell_type == "code" and "judged(" in cell.source]
    needed = ("sizes = sweep", "frame = sizes", "waiting = sweep", "faded = waiting", "faulty = dict", "late = run")
    before = [cell for cell in lab.cells if any(name in cell.source for name in (*needed, "strict = run"))]
    guesses = [cell for cell in lab.cells if "guess = predict" in cell.source]
    lab.cells = [setup_of(lab), *guesses, *before, claims]
    assert nbval(tmp_path / "true.ipynb", lab) == 0
    assert claims.source.count("stale[2, 2] == 0") == 1
    claims.source = claims.source.replace("stale[2, 2] == 0", "stale[2, 2] == 0.1")
    assert nbval(tmp_path / "planted.ipynb", lab) == 1


def setup_of(lab: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return next(cell for cell in lab.cells if cell.cell_type == "code")


def nbval(path: Path, notebook: nbformat.NotebookNode) -> int:
    nbformat.write(notebook, path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(path.parent)]
    options = ["-c", "/dev/null", "--nbval-lax", "--nbval-cell-timeout=60", str(path)]
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, cwd=ROOT).returncode
