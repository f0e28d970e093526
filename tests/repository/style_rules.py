"""The project's rules on its own files: each takes a file's name and text and gives what breaks the rule."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

Rule = Callable[[str, str], Iterator[str]]

LONGEST_FILE = 400
LONGEST_FUNCTION = 50
MOST_CELLS = 40
LARGEST_NOTEBOOK_BYTES = 300_000
EMPTY_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}

# Written in pieces, so that this file keeps the rules too.
UNFINISHED = re.compile("|".join(rf"\b{word}\b" for word in ("TO" + "DO", "FIX" + "ME", "X" + "XX")))
OWN_PLACES = re.compile(r"(?<![\w.:/-])/(?:home|root|Users|work|workspace)/[\w.]")
REGISTRIES = re.compile(
    "|".join(
        re.escape(host)
        for host in (
            "pypi" + ".org",
            "python" + "hosted.org",
            "npmjs" + ".",
            "yarnpkg" + ".com",
            "anaconda" + ".org",
            "deb." + "debian.org",
            "unpkg" + ".com",
            "jsdelivr" + ".net",
            "cdnjs" + ".",
        )
    )
)
EMOJI = re.compile("[\U0001f000-\U0001faff\u2705\u274c\u2728\u26a0\u2b50\ufe0f\u203c\u2049]")


def short_files(name: str, text: str) -> Iterator[str]:
    """A Python file can be read in one sitting."""
    lines = text.count("\n")
    if name.endswith(".py") and lines > LONGEST_FILE:
        yield f"{lines} lines, more than {LONGEST_FILE}"


def short_functions(name: str, text: str) -> Iterator[str]:
    """A function's body fits on a screen; an experiment's signature is its table of dials, and does not count."""
    for node in definitions(name, text):
        lines = node.end_lineno - node.body[0].lineno + 1
        if not isinstance(node, ast.ClassDef) and lines > LONGEST_FUNCTION:
            yield f"the body of {node.name} has {lines} lines, more than {LONGEST_FUNCTION}"


def documented(name: str, text: str) -> Iterator[str]:
    """Whatever labkit offers says what it is."""
    if not name.startswith("labkit/"):
        return
    for node in definitions(name, text, top_level=True):
        if not node.name.startswith("_") and not ast.get_docstring(node):
            yield f"{node.name} has no docstring"


def finished(_name: str, text: str) -> Iterator[str]:
    """What is left to do stands among the issues."""
    yield from (f"{match[0]} left behind" for match in UNFINISHED.finditer(text))


def named_errors(name: str, text: str) -> Iterator[str]:
    """An except clause says what it expects."""
    if name.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                yield f"bare except in line {node.lineno}"


def no_own_places(_name: str, text: str) -> Iterator[str]:
    """Nothing depends on one machine's folders."""
    yield from (f"path of one machine: {match[0]}" for match in OWN_PLACES.finditer(text))


def no_registries(_name: str, text: str) -> Iterator[str]:
    """Where packages come from is each machine's own setting."""
    yield from (f"registry or content network: {match[0]}" for match in REGISTRIES.finditer(text))


def telling_names(name: str, _text: str) -> Iterator[str]:
    """A module is named for what it does."""
    path = PurePosixPath(name)
    for part in (*path.parent.parts, path.stem):
        if part.lower() in EMPTY_NAMES:
            yield f"the name {part} says nothing"


def small_notebooks(name: str, text: str) -> Iterator[str]:
    """A lab is read in half an hour and compared in a review."""
    if not name.endswith(".ipynb"):
        return
    if len(text.encode()) > LARGEST_NOTEBOOK_BYTES:
        yield f"{len(text.encode())} bytes, more than {LARGEST_NOTEBOOK_BYTES}"
    if (cells := len(json.loads(text)["cells"])) > MOST_CELLS:
        yield f"{cells} cells, more than {MOST_CELLS}"


def plain_words(_name: str, text: str) -> Iterator[str]:
    """Words do without pictograms."""
    yield from (f"pictogram U+{ord(match[0]):04X}" for match in EMOJI.finditer(text))


def definitions(name: str, text: str, *, top_level: bool = False) -> Iterator[ast.AST]:
    """The classes and functions of a Python file."""
    if name.endswith(".py"):
        tree = ast.parse(text)
        for node in tree.body if top_level else ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


RULES: tuple[Rule, ...] = (
    short_files,
    short_functions,
    documented,
    finished,
    named_errors,
    no_own_places,
    no_registries,
    telling_names,
    small_notebooks,
    plain_words,
)
