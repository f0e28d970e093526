"""What Python needs in the reader's browser: Pyodide, the wheels of labkit and SimPy, and a copy of its memory.

Without that copy a browser compiles and runs every import itself, which takes longer than all the rest.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from book.tools import web_packages
from book.tools.fresh import combined, make_if_stale
from book.tools.layout import BuildError, Layout, digest
from book.tools.node import esbuild, run

SNAPSHOT = "python.snapshot.gz"
PACKED = "pyodide.asm.wasm"
"""The one of Pyodide's files that shrinks: to a third. The others are packed already, or programs."""
LIBRARY = "python_stdlib.zip"
NO_LIBRARY = "nothing.zip"
"""What a start from the snapshot takes for the library, which comes later."""
RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", LIBRARY)
LOCK = "pyodide-lock.json"
# Only what Python runs. The rest of `labkit/live` is JavaScript, which reaches the page in bundles.
NOT_IN_WHEEL = ("__pycache__", "web", "built")
PROJECT_FILES = ("pyproject.toml", "README.md", "LICENSE")
HATCHLING_TIMEOUT = 120
SNAPSHOT_TIMEOUT = 300
# The first time that a zip file can carry: what was made when must not show in the contents.
EPOCH = (1980, 1, 1, 0, 0, 0)


def python_key(layout: Layout) -> str:
    """What any result of labkit's depends on: its sources and the versions of all packages."""
    return digest(layout.root, [*(layout.root / "labkit").rglob("*.py"), layout.root / "requirements.lock"])


def make_python(layout: Layout) -> Path:
    """Bring the folder with Pyodide, the wheels and the snapshot up to date and return it."""
    packages = digest(layout.root, web_packages.package_files(layout))
    web = layout.root / "labkit/live/web"
    started_by = [file for file in (web / "compute.js", web / "snapshot.js", Path(__file__)) if file.is_file()]
    project = [layout.root / name for name in PROJECT_FILES]
    key = combined(
        python_key(layout), packages, digest(layout.root, project), *(file.read_text() for file in started_by)
    )
    folder = layout.web / "python"
    make_if_stale(folder, key, lambda new: fill(layout, new))
    return folder


def fill(layout: Layout, folder: Path) -> None:
    """Put everything that Python needs into `folder`."""
    print("Packing Python for the reader's browser", flush=True)
    copy_runtime(layout, folder / "pyodide")
    pack(folder / "pyodide" / PACKED)
    wheels = [pack_labkit(layout, folder), pack_installed("simpy", folder)]
    program = layout.web / "snapshot.mjs"
    source = layout.root / "labkit/live/web/snapshot.js"
    esbuild(layout, source, program, "--platform=node", "--format=esm")
    arguments = (folder / "pyodide", folder / SNAPSHOT, *wheels)
    run("The snapshot of Python's memory", program, *arguments, timeout=SNAPSHOT_TIMEOUT)
    with zipfile.ZipFile(folder / "pyodide" / NO_LIBRARY, "w"):
        pass  # a library of nothing


def copy_runtime(layout: Layout, folder: Path) -> None:
    """Copy Pyodide's own files; of its list of packages, which the pages do not have, only the head."""
    package = layout.npm / "node_modules/pyodide"
    folder.mkdir(parents=True)
    try:
        for name in RUNTIME:
            shutil.copyfile(package / name, folder / name)
        lock = json.loads((package / LOCK).read_text())
    except FileNotFoundError as error:
        raise BuildError(f"Pyodide's file {Path(error.filename).name} is missing from the installed package.") from None
    (folder / LOCK).write_text(json.dumps({"info": lock["info"], "packages": {}}))


def pack(file: Path) -> None:
    """Lay a gzipped copy beside the file, the same at each build: not every host of pages packs what it sends."""
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))


def pack_labkit(layout: Layout, folder: Path) -> Path:
    """Build labkit's wheel as an installer would, from a copy that holds what Python runs and nothing else."""
    source = layout.web / "labkit"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(layout.root / "labkit", source / "labkit", ignore=shutil.ignore_patterns(*NOT_IN_WHEEL))
    for name in PROJECT_FILES:
        shutil.copyfile(layout.root / name, source / name)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(
        command,
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HATCHLING_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"labkit's wheel cannot be built:\n\n{(done.stdout + done.stderr).strip()}")
    shutil.rmtree(source)
    return next(folder.glob("labkit-*.whl"))


def pack_installed(name: str, folder: Path) -> Path:
    """Pack an installed package of pure Python into a wheel again, from the list of files that came with it."""
    package = importlib.metadata.distribution(name)
    wheel = folder / f"{name}-{package.version}-py3-none-any.whl"
    local = {"INSTALLER", "REQUESTED", "direct_url.json"}  # an installer's notes about this machine
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(package.files or (), key=str):
            if file.name in local or file.suffix == ".pyc" or ".." in file.parts:
                continue
            content = file.locate().read_bytes()
            archive.writestr(zipfile.ZipInfo(file.as_posix(), EPOCH), content, zipfile.ZIP_DEFLATED)
    return wheel
