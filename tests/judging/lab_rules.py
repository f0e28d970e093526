"""The rules that the labs let a reader write: starting points, solutions and wrong answers, out of their cells."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

LABS = sorted((Path(__file__).parents[2] / "labs").glob("[0-9][0-9]_*.ipynb"))
HEADING, AFTER = "## Write it yourself", "## Exercises"


@dataclass
class LabRule:
    """One rule of one lab; `starting` comes from a visible cell, `solution` and `wrong` from the folded one."""

    stem: str
    experiment: str
    name: str
    starting: list[Callable[..., Any]] = field(default_factory=list)
    solution: list[Callable[..., Any]] = field(default_factory=list)
    wrong: list[Callable[..., Any]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.stem}-{self.name}"


def section(path: Path) -> list[nbformat.NotebookNode]:
    """The cells of a lab in which a reader writes a rule."""
    cells = nbformat.read(path, as_version=4).cells
    heads = [cell.source.split("\n")[0] if cell.cell_type == "markdown" else "" for cell in cells]
    return cells[heads.index(HEADING) : heads.index(AFTER)]


def is_folded(cell: nbformat.NotebookNode) -> bool:
    """Whether a reader sees the cell only if they ask for it."""
    return "hide-input" in cell.metadata.get("tags", [])


def rules() -> list[LabRule]:
    """Every rule of every lab."""
    return [rule for path in LABS for rule in _rules_of(path)]


def _rules_of(path: Path) -> Iterator[LabRule]:
    known: dict[str, LabRule] = {}
    namespace: dict[str, Any] = {"__name__": f"cells of {path.stem}"}
    for place, cell in enumerate(section(path)):
        if cell.cell_type != "code":
            continue
        file, tree = f"<{path.stem}, cell {place}>", ast.parse(cell.source)
        linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(keepends=True), file)
        tree.body = [each for each in tree.body if isinstance(each, ast.ImportFrom | ast.FunctionDef | _ASYNC)]
        exec(compile(tree, file, "exec"), namespace)
        for experiment, name, functions in _judged(ast.parse(cell.source)):
            rule = known.setdefault(name, LabRule(path.stem, experiment, name))
            first, *others = [namespace[each] for each in functions]
            (rule.solution if is_folded(cell) else rule.starting).append(first)
            rule.wrong += others
    yield from known.values()


_ASYNC = ast.AsyncFunctionDef


def _judged(tree: ast.Module) -> Iterator[tuple[str, str, list[str]]]:
    """Experiment, rule, and the names of the functions that each call of `judge` is given, in their order."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.ListComp)]
    listed = [(loop, loop.generators[0].iter) for loop in loops]
    inside = {id(loop.elt): [each.id for each in of.elts] for loop, of in listed if isinstance(of, ast.Tuple)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "judge":
            rule = next(each for each in node.keywords if each.arg not in ("seeds", "runtime"))
            yield node.args[0].value, rule.arg, inside.get(id(node), [rule.value.id])
