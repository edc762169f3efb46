"""What the harness builds and installs, and under which key it keeps it."""

from pathlib import Path

import pytest

from tests.harness import packages, paths, tools
from tests.harness.errors import HarnessError


def _family(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tools.Family:
    monkeypatch.setattr(paths, "TOOLS", folder.parent)
    (folder / "go.mod").write_text("module x\n\nrequire (\n\texample.org/tool v1.2.3 // indirect\n)\n")
    (folder / "go.sum").write_text("a\n")
    return tools.Family(folder.name, "example.org/tool", {"tool": tools.Binary("example.org/tool", 1)})


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "main.go"])
def test_cache_key_depends_on_every_input(
    changed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    family = _family(tmp_path, monkeypatch)
    before = family.cache_key()
    assert before == family.cache_key()
    assert before.startswith(f"{tmp_path.name}-v1.2.3-")
    file = tmp_path / changed
    file.write_text((file.read_text() if file.exists() else "") + "// more\n")
    assert family.cache_key() != before


def test_every_family_has_a_version_and_kubernetes_is_stamped_with_it() -> None:
    versions = {family.name: family.version for family in tools.FAMILIES}
    assert all(version.startswith("v") for version in versions.values())
    assert f"gitVersion={versions['kubernetes']} " in tools.family_of("kubelet").linker_flags
    assert "gitVersion" not in tools.family_of("helm").linker_flags


def test_missing_go_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLAME_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match=r"building pause needs Go: install .*pause/go\.mod"):
        tools.ensure("pause")


def test_packages_of_missing_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"ip": "/usr/sbin/ip"}
    monkeypatch.setattr("shutil.which", lambda name, path=None: there.get(name) if path else None)
    assert packages.missing(("ip", "runc", "dockerd", "docker")) == ["docker.io", "runc"]
