"""Binder gets the interpreter that the project supports and the packages of the lock file."""

from __future__ import annotations

import os
import subprocess
import tomllib

import yaml
from packaging.specifiers import SpecifierSet

from tests.repository.files import ROOT

ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
POST_BUILD = ROOT / "postBuild"


def test_interpreter_is_one_that_the_project_supports():
    python = next(text for text in ENVIRONMENT["dependencies"] if str(text).startswith("python="))
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert SpecifierSet(supported).contains(python.removeprefix("python=") + ".0")


def test_conda_brings_the_interpreter_alone():
    assert {text.split("=")[0] for text in ENVIRONMENT["dependencies"]} == {"python", "pip"}


def test_packages_come_from_the_lock_and_nothing_else_is_chosen():
    assert os.access(POST_BUILD, os.X_OK)
    installs = [line for line in POST_BUILD.read_text().splitlines() if "pip install" in line]
    assert all("--no-deps" in line for line in installs)
    assert "--require-hashes -r requirements.lock" in installs[0]
    assert "--no-build-isolation --editable ." in installs[1]
    subprocess.run(["bash", "-n", POST_BUILD], check=True, timeout=30)
