"""The files that are, or would be, committed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def committed() -> list[Path]:
    """Tracked files, and new ones that no ignore rule covers."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"not a clone: {done.stderr.strip()}")
    files = [ROOT / name for name in done.stdout.split("\0") if name]
    return sorted(file for file in files if file.is_file())
