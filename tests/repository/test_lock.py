"""The lock files agree with what they were made from, and name no place to download from."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.repository.files import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NPM = json.loads((ROOT / "package-lock.json").read_text())
GROUPS = {"labkit": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
DIRECT = [(group, requirement) for group, requirements in GROUPS.items() for requirement in requirements]


def locked() -> dict[str, list[tuple[str, str]]]:
    """Package name → the versions locked for it, each with the text of its entry."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", LOCK):
        name, version = re.match(r"([\w.-]+)==([^\s;]+)", entry).groups()
        found.setdefault(canonicalize_name(name), []).append((version, entry))
    return found


def test_every_package_has_hashes():
    without = [name for name, entries in locked().items() for _, text in entries if "--hash=sha256:" not in text]
    assert not without


def test_no_place_to_download_from():
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-i|--index|--extra-index|--find-links|-f)\b", LOCK, re.MULTILINE)
    assert [name for name, package in NPM["packages"].items() if "resolved" in package] == []


@pytest.mark.parametrize(("group", "requirement"), DIRECT, ids=[f"{group}: {text}" for group, text in DIRECT])
def test_lock_holds_what_the_project_asks_for(group, requirement):
    wanted = Requirement(requirement)
    versions = [version for version, _ in locked().get(canonicalize_name(wanted.name), [])]
    assert versions, f"{group} asks for {wanted}, which is not locked: run `make lock`"
    assert all(wanted.specifier.contains(version) for version in versions), versions


def test_nothing_of_several_gigabytes_comes_along():
    assert not {"torch", "tensorflow", "jax"} & set(locked())


def test_npm_lock_agrees_with_package_json():
    package = json.loads((ROOT / "package.json").read_text())
    assert NPM["packages"][""]["dependencies"] == package["dependencies"]
    for name, version in package["dependencies"].items():
        entry = NPM["packages"][f"node_modules/{name}"]
        assert entry["version"] == version and entry["integrity"].startswith("sha512-")
