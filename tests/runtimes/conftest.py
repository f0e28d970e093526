"""What tests that run other Pythons need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import simpy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def search_path(tmp_path_factory) -> str:
    """A search path with labkit and SimPy, and nothing else that is installed here."""
    folder = tmp_path_factory.mktemp("packages")
    shutil.copytree(Path(simpy.__file__).parent, folder / "simpy", ignore=shutil.ignore_patterns("__pycache__"))
    return os.pathsep.join([str(ROOT), str(folder)])
