"""Every notebook starts nodes as processes of their own, so none shares the machine with other tests."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each cell."""
    item.add_marker("real")
