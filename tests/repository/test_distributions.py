"""The two distributions, flame-mcp-operator and flame-mcp-server: each is one program, and whole."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {"operator": "flame-operator", "server": "flame-mcp"}
LEFTOVERS = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")


def project(name: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / name / "pyproject.toml").read_text())["project"]
    return found


def bounds(name: str) -> dict[str, str]:
    """Each dependency's name with what it is bound to."""
    pairs = (re.fullmatch(r"([a-z0-9-]+)(.*)", one) for one in project(name)["dependencies"])
    return {found[1]: found[2] for found in pairs if found is not None}


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A distribution's folder and its wheel, built from what its Dockerfile copies."""
    name, source = request.param, tmp_path_factory.mktemp("source")
    for file in ("LICENSE", "NOTICE"):
        shutil.copy(ROOT / file, source)
    shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=LEFTOVERS)
    options = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    pip_wheel = (sys.executable, "-m", "pip", "wheel", *options)
    subprocess.run((*pip_wheel, "--wheel-dir", source / "wheels", source / name), check=True)
    [built] = (source / "wheels").iterdir()
    return name, built


def test_neither_depends_on_what_is_only_the_others() -> None:
    operator, server = bounds("operator"), bounds("server")
    assert len(operator) == len(project("operator")["dependencies"])
    assert len(server) == len(project("server")["dependencies"])
    assert not any(name.startswith("flame-mcp") for name in operator | server)
    assert operator.keys() & server.keys() == {
        "click",
        "prometheus-client",
        "pydantic",
        "pydantic-settings",
        "structlog",
    }


def test_both_have_one_version_and_the_same_bounds() -> None:
    operator, server = bounds("operator"), bounds("server")
    assert project("operator")["version"] == project("server")["version"]
    assert {name: bound for name, bound in operator.items() if name in server} == {
        name: bound for name, bound in server.items() if name in operator
    }


def test_a_wheel_holds_its_own_package_whole(wheel: tuple[str, Path]) -> None:
    name, built = wheel
    package = ROOT / name / f"flame_{name}"
    ours = {
        file.relative_to(ROOT / name).as_posix()
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    packed = {entry for entry in zipfile.ZipFile(built).namelist() if ".dist-info/" not in entry}
    assert packed == ours


def test_a_wheel_carries_the_licence(wheel: tuple[str, Path]) -> None:
    _, built = wheel
    with zipfile.ZipFile(built) as archive:
        info = next(entry.split("/")[0] for entry in archive.namelist() if ".dist-info/" in entry)
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        for file in ("LICENSE", "NOTICE"):
            assert archive.read(f"{info}/licenses/{file}") == (ROOT / file).read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE"]


def test_a_wheel_brings_one_command(wheel: tuple[str, Path]) -> None:
    name, built = wheel
    with zipfile.ZipFile(built) as archive:
        [entry] = (one for one in archive.namelist() if one.endswith("/entry_points.txt"))
        text = archive.read(entry).decode()
    assert re.findall(r"^\[(.*)\]", text, re.MULTILINE) == ["console_scripts"]
    assert re.findall(r"^(\S+) = (\w+)\.", text, re.MULTILINE) == [(COMMANDS[name], f"flame_{name}")]
