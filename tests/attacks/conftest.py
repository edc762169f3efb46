"""Attacks at full size run only when they are asked for: `make attack` sets ATTACK_FULL_SIZE=1."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("ATTACK_FULL_SIZE") == "1":
        return
    large = [item for item in items if item.get_closest_marker("full_size")]
    if large:
        config.hook.pytest_deselected(items=large)
        items[:] = [item for item in items if item not in large]
