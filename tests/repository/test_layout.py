"""What the repository promises about itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs import attacks, generate
from tests.support.long_files import LONG

ROOT = Path(__file__).resolve().parents[2]


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9_.-]+)==", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


def test_the_operator_folder_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "tests" / "operator").exists()
    subprocess.run([sys.executable, "-c", "import operator; operator.eq"], cwd=ROOT, check=True)


@pytest.mark.parametrize(("folders", "most"), [(("tests",), 400), (("operator", "server"), 320)])
def test_no_module_is_too_long_to_read(folders: tuple[str, ...], most: int) -> None:
    lines = {
        str(file.relative_to(ROOT)): len(file.read_text().splitlines())
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
    }
    assert {file: count for file, count in lines.items() if count > most} == {}, "split them by subject"


def test_only_test_modules_lie_beside_tests() -> None:
    """What tests share lies in tests/support, so that a test folder lists its subjects."""
    others = [
        str(file.relative_to(ROOT))
        for folder in ("flame_operator", "flame_server", "cluster", "charts", "e2e")
        for file in (ROOT / "tests" / folder).rglob("*.py")
        if file.name != "conftest.py" and not file.name.startswith("test_")
    ]
    assert others == []


def test_the_test_files_that_come_first_exist() -> None:
    assert [name for name in LONG if not (ROOT / name).is_file()] == []


def test_neither_image_installs_the_others_dependencies() -> None:
    server, operator = locked("server.txt"), locked("operator.txt")
    assert {"fastmcp", "qdrant-edge-py", "onnxruntime"} <= server
    assert {"kopf", "kubernetes"} <= operator
    assert not server & {"kopf", "kubernetes"}
    assert not operator & {"fastmcp", "mcp", "onnxruntime", "numpy", "tokenizers", "qdrant-edge-py"}


@pytest.mark.parametrize("name", ["build.txt", "dev.txt", "operator.txt", "server.txt"])
def test_every_locked_package_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert "://" not in text
    for requirement in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in requirement, requirement


def test_the_reference_of_fields_is_the_schemas() -> None:
    crd = yaml.safe_load((ROOT / "crds" / "flamemcpservers.yaml").read_text())
    assert generate.TARGET.read_text() == generate.reference(crd), "run: make docs"


def test_the_table_of_attacks_is_of_the_tests() -> None:
    assert attacks.TARGET.read_text() == attacks.page(attacks.attacks()), "run: make docs"


def test_the_page_of_limits_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "limits.md").read_text()
    named = re.findall(r"`(tests/[\w/.]+\.py)", page)
    assert len(named) > 20
    assert sorted({name for name in named if not (ROOT / name).exists()}) == []


def test_make_help_lists_every_target_a_newcomer_needs() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"demo", "test", "down", "venv", "lint", "status"} <= set(
        re.findall(r"^  ([a-z-]+)", listed, re.MULTILINE)
    )


def test_links_between_our_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
