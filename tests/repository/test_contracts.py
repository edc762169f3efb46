"""What the two programs tell each other fits: neither may import the other, so it is compared here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from flame_server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests" / "flame_operator" / "desired" / "golden").glob("*.out.yaml"))


def variables(path: Path) -> set[str]:
    """The settings in the environment of all pods of a golden file."""
    return set(re.findall(r"\bFLAME_MCP_([A-Z0-9_]+)", path.read_text())) - {"SOURCES", "RESULT_FILE"}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_every_variable_that_the_operator_sets_is_a_setting_of_the_server(path: Path) -> None:
    known = {name.upper() for name in Settings.model_fields}
    assert sorted(variables(path) - known) == []


def test_a_golden_file_sets_what_a_config_map_has() -> None:
    """So that the test above can't pass for lack of variables."""
    found = [
        document for document in yaml.safe_load_all(GOLDEN[0].read_text()) if document["kind"] == "ConfigMap"
    ]
    assert len(found[0]["data"]) > 10


def test_every_setting_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "server.md").read_text()
    missing = [name for name in Settings.model_fields if f"FLAME_MCP_{name.upper()}" not in page]
    assert missing == [], "add them to docs/server.md"
