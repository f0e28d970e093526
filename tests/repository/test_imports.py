"""The simulated path works where nothing but the standard library and SimPy is installed, as in a browser."""

from __future__ import annotations

import subprocess
import sys

from tests.repository.files import ROOT

PROGRAM = """
import importlib, pkgutil, sys

ALLOWED = sys.stdlib_module_names | {"labkit", "simpy"}

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
for name in ("checkers", "experiments", "live", "patterns", "protocols"):
    try:
        package = importlib.import_module(f"labkit.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"labkit.{name}":
            raise
        continue
    for module in pkgutil.walk_packages(package.__path__, f"labkit.{name}."):
        importlib.import_module(module.name)
importlib.import_module("labkit.runtimes.simulated")
figure = importlib.import_module("labkit.live").live("quorums", ["read_quorum"], pairs=5)
assert "text/html" in figure._repr_mimebundle_()
print(sorted(name for name in sys.modules if name.startswith("labkit.")))
"""


def test_simulated_path_imports_with_simpy_alone():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "labkit.experiments.quorums" in done.stdout and "labkit.runtimes.ray_actors" not in done.stdout
