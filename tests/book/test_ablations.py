"""The table of ablations in the book is what the command printed, and a checker that missed one stops the build."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest

from book.extensions import ablations as extension
from book.tools import ablations
from book.tools.layout import BuildError, Layout

FOUND = [{"experiment": "quorums", "ablation": "<no> & none", "checker": "every read is fresh", "seed": 4}]


@pytest.fixture
def layout(tmp_path) -> Layout:
    (tmp_path / "labkit").mkdir()
    (tmp_path / "_build").mkdir()
    (tmp_path / "requirements.lock").write_text("as it was")
    return Layout(tmp_path)


@pytest.fixture
def prints(monkeypatch):
    """Have the command print this and end with this code; returns the calls."""
    calls = []

    def command(text: str, code: int = 0) -> list:
        def run(arguments, **_more):
            calls.append(arguments)
            return SimpleNamespace(returncode=code, stdout=text, stderr="" if code == 7 else "no such thing")

        monkeypatch.setattr(subprocess, "run", run)
        return calls

    return command


def test_table_is_made_once_for_each_state_of_labkit(layout, prints):
    calls = prints(json.dumps(FOUND))
    ablations.make_table(layout)
    ablations.make_table(layout)
    assert json.loads(layout.ablations.read_text()) == FOUND and len(calls) == 1
    (layout.root / "labkit/node.py").write_text("changed = True\n")
    ablations.make_table(layout)
    assert len(calls) == 2


@pytest.mark.parametrize(("code", "said"), [(7, "none of 1000 tried"), (4, "no such thing")])
def test_an_ablation_that_nobody_noticed_stops_the_build(layout, prints, code, said):
    prints("none of 1000 tried", code)
    with pytest.raises(BuildError, match=f"exit code {code}: {said}"):
        ablations.make_table(layout)
    calls = prints(json.dumps(FOUND))
    ablations.make_table(layout)
    assert len(calls) == 2  # what failed is not taken for done


def test_a_command_that_hangs_is_ended(layout, monkeypatch):
    monkeypatch.setattr(ablations, "COMMAND", ["sleep", "60"])
    monkeypatch.setattr(ablations, "TIMEOUT", 0.2)
    with pytest.raises(BuildError, match=r"not done within 0\.2 s"):
        ablations.make_table(layout)


def test_table_shows_each_ablation_with_its_seed():
    rows = [[cell.astext() for cell in row.findall(extension.nodes.entry)] for row in body(extension.table(FOUND))]
    assert rows == [["quorums", "<no> & none", "every read is fresh", "4"]]


def body(table) -> list:
    (found,) = table.findall(extension.nodes.tbody)
    return list(found.findall(extension.nodes.row))
