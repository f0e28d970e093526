"""The table of ablations in the book is what the command printed, and a checker that missed one stops the build."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest

from book.extensions import ablations as extension
from book.tools import ablations
from book.tools.layout import BuildError, Layout

FOUND = [
    {
        "experiment": "quorums",
        "ablation": "<no> & none",
        "checker": "every read is fresh",
        "tried": 100,
        "fails_without": 37,
        "fails_with": 0,
        "seed": 4,
        "explanation": "2 of 60 reads missed a write",
        "counterexample": ["client-1.2: read('key-0') → <nothing>"],
    }
]


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


def test_the_command_asks_a_hundred_seeds():
    asked = ablations.COMMAND
    assert asked[asked.index("--seeds") + 1] == "100" and asked[-1] == "--json"


def test_table_shows_each_ablation_with_its_counts_and_its_seed():
    rows = [[cell.astext() for cell in row.findall(extension.nodes.entry)] for row in body(extension.table(FOUND))]
    assert rows == [["quorums", "<no> & none", "every read is fresh", "37 of 100", "0 of 100", "4"]]
    assert [cell.astext() for cell in head(extension.table(FOUND))] == list(extension.HEAD)


def test_each_first_counterexample_is_shown_folded_with_its_seed_and_nothing_of_it_is_taken_for_markup():
    (folded,) = extension.counterexamples(FOUND)
    assert folded["format"] == "html"
    assert "<summary>quorums, &lt;no&gt; &amp; none: seed 4</summary>" in folded.astext()
    assert "2 of 60 reads missed a write.\nclient-1.2: read(" in folded.astext()
    assert "→ &lt;nothing&gt;</pre>" in folded.astext()


def head(table) -> list:
    (found,) = table.findall(extension.nodes.thead)
    return list(found.findall(extension.nodes.entry))


def body(table) -> list:
    (found,) = table.findall(extension.nodes.tbody)
    return list(found.findall(extension.nodes.row))
