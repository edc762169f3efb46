"""Where the docs come from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness import flame_docs


def checkout(root: Path) -> Path:
    (root / "doc").mkdir()
    (root / "doc" / "page.md").write_text("# Page\n")
    (root / "doc" / "picture.png").write_bytes(b"\x89PNG")
    (root / "LICENSE").write_text("MIT\n")
    return root


def test_a_folder_is_staged_without_what_the_docs_do_not_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.setenv("FLAME_DOCS", str(checkout(source)))
    monkeypatch.setattr(flame_docs, "STAGED", tmp_path / "staged")
    (tmp_path / "staged").mkdir()
    (tmp_path / "staged" / "old.md").write_text("# Old\n")
    flame_docs.stage()
    staged = [
        file.relative_to(tmp_path / "staged") for file in (tmp_path / "staged").rglob("*") if file.is_file()
    ]
    assert sorted(map(str, staged)) == ["LICENSE", "doc/page.md"]
    assert flame_docs.build_args() == {}


def test_another_page_is_another_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAME_DOCS", str(checkout(tmp_path)))
    before = flame_docs.fingerprint()
    (tmp_path / "doc" / "page.md").write_text("# Another\n")
    assert flame_docs.fingerprint() != before


def test_a_git_url_is_passed_to_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAME_DOCS", "https://example.com/fork.git")
    monkeypatch.delenv("FLAME_DOCS_REF", raising=False)
    assert flame_docs.build_args() == {"FLAME_DOCS": "https://example.com/fork.git", "FLAME_DOCS_REF": "HEAD"}
    monkeypatch.setenv("FLAME_DOCS_REF", "v1")
    assert flame_docs.build_args()["FLAME_DOCS_REF"] == "v1"


def test_without_a_word_and_a_neighbour_the_public_repository_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLAME_DOCS", raising=False)
    monkeypatch.setattr(flame_docs, "NEIGHBOUR", tmp_path)
    assert flame_docs.build_args() == {"FLAME_DOCS": flame_docs.REPOSITORY, "FLAME_DOCS_REF": flame_docs.REF}
    # The Dockerfile alone, without our arguments, takes the same.
    dockerfile = (flame_docs.ROOT / "Dockerfile.server").read_text()
    assert f"ARG FLAME_DOCS={flame_docs.REPOSITORY}\nARG FLAME_DOCS_REF={flame_docs.REF}\n" in dockerfile


def test_a_folder_without_docs_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAME_DOCS", str(tmp_path))
    with pytest.raises(flame_docs.DocsError, match=r"no checkout of Flame: there is no folder .*/doc"):
        flame_docs.folder()


@pytest.mark.parametrize("code", [0, 1])
def test_an_image_build_without_network_says_how_to_name_a_folder(tmp_path: Path, code: int) -> None:
    """The step of Dockerfile.server that reads the docs, run by a shell."""
    dockerfile = (flame_docs.ROOT / "Dockerfile.server").read_text()
    step = dockerfile.partition("AS index\n")[2].partition("\nRUN ")[2].partition("\n\n")[0]
    program = tmp_path / "flame-mcp"
    program.write_text(f"#!/bin/sh\necho error: github.com cannot be reached >&2\nexit {code}\n")
    program.chmod(0o755)
    script = step.replace("/opt/venv/bin/flame-mcp", str(program)).replace("/docs/doc", str(tmp_path / "doc"))
    variables = {"FLAME_DOCS": "https://github.com/flame-engine/flame.git", "FLAME_DOCS_REF": "main"}
    done = subprocess.run(
        ["/bin/sh", "-c", script], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    told = done.stderr.strip().splitlines()[-1]
    assert ("set FLAME_DOCS to it" in told) == (code == 1)
    assert ("build/flame-docs" in told) == (code == 1)
