"""Checks and claims bite: turn one number in either, and the cell that holds it fails, in every lab.

The labs run here as simulations alone; what nbval makes of a cell that fails is shown in test_labs.py.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]

PLANTS = {
    "07_sync_vs_async": [
        ('call["blocked_max"] == 20', 'call["blocked_max"] == 21'),
        ('queue["response_p50"] < call["response_p50"] / 5,', 'queue["response_p50"] < call["response_p50"] / 5000,'),
    ],
    "09_quorums": [
        ("0.15 < stale[1, 1] < 0.35", "0.15 < stale[1, 1] < 0.2"),
        ("stale[2, 2] == 0,", "stale[2, 2] == 0.1,"),
    ],
    "14_clocks": [
        ("round(gained, 6) == 0.864", "round(gained, 6) == 0.846"),
        ('skewed["wrongly_ordered"] > 0.05,', 'skewed["wrongly_ordered"] > 0.5,'),
    ],
    "15_logical_clocks": [
        ('["vector_entries"] == 24', '["vector_entries"] == 25'),
        ('dotted["dropped_writes"] == 0', 'dotted["dropped_writes"] == 1'),
    ],
    "17_sharding": [
        ('round(numbers["balance_after"], 2) == 1.33', 'round(numbers["balance_after"], 2) == 1.34'),
        ('sampled["largest"] < 0.55', 'sampled["largest"] < 0.5'),
    ],
    "20_transactions": [
        ("succeeded[ORCHESTRATED] > 2 * succeeded[TWO_PHASE]", "succeeded[ORCHESTRATED] > 20 * succeeded[TWO_PHASE]"),
        ("seconds > 2)", "seconds > 20)"),
    ],
}  # fmt: skip
"""For each lab a number in a check and one in a claim: as it stands, and wrong."""


def test_every_lab_has_its_plants() -> None:
    assert {*PLANTS} == {path.stem for path in (ROOT / "labs").glob("*.ipynb")}


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("lab", PLANTS)
def test_a_wrong_number_makes_its_cell_fail(lab: str) -> None:
    notebook = nbformat.read(ROOT / f"labs/{lab}.ipynb", as_version=4)
    wanted = [the_cell(notebook, right) for right, _ in PLANTS[lab]]
    last = max(notebook.cells.index(cell) for cell in wanted)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": ROOT / "labs"}})
    with client.setup_kernel():
        for place, cell in enumerate(notebook.cells[: last + 1]):
            cell.source = cell.source.replace('runtime="ray", ', "")
            if cell in wanted:
                client.execute_cell(cell, place)
            elif cell.cell_type == "code":
                try_to(client, cell, place)
        for (right, wrong), cell in zip(PLANTS[lab], wanted, strict=True):
            cell.source = cell.source.replace(right, wrong)
            with pytest.raises(CellExecutionError) as failed:
                client.execute_cell(cell, notebook.cells.index(cell))
            assert failed.value.ename == "CheckFailed" or failed.value.evalue.startswith("the cases")


def the_cell(notebook: nbformat.NotebookNode, text: str) -> nbformat.NotebookNode:
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and text in cell.source]
    assert cell.source.count(text) == 1
    return cell


def try_to(client: NotebookClient, cell: nbformat.NotebookNode, place: int) -> None:
    """Execute a cell that may ask of a real run what a simulation does not do, such as to take a disk's time."""
    try:
        client.execute_cell(cell, place)
    except CellExecutionError:
        assert "measured" in cell.source or "called" in cell.source, cell.source
