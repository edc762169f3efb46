"""Images that the harness makes or names, and what a node of its own runs with."""

import io
import json
import tarfile
from pathlib import Path
from typing import cast

import pytest

from tests.harness import archive, images, kind, node
from tests.harness.engine import Engine
from tests.harness.errors import HarnessError
from tests.harness.pki import Authority


def test_scratch_image_is_loadable_and_reproducible(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    image_id = archive.scratch_image(program, "localhost/program:1", tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as image:
        members = {member.name: image.extractfile(member) for member in image.getmembers()}
        content = {name: file.read() for name, file in members.items() if file is not None}
    (manifest,) = json.loads(content["manifest.json"])
    config = json.loads(content[manifest["Config"]])
    assert manifest["RepoTags"] == ["localhost/program:1"]
    assert image_id == f"sha256:{manifest['Config'].removesuffix('.json')}"
    assert config["config"]["User"] == "65532:65532"
    with tarfile.open(fileobj=io.BytesIO(content[manifest["Layers"][0]])) as layer:
        (entry,) = layer.getmembers()
    assert (entry.name, entry.mode, entry.size) == ("program", 0o755, 4)
    assert archive.scratch_image(program, "localhost/program:1", tmp_path / "again.tar") == image_id
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "image.tar").read_bytes()


@pytest.mark.parametrize(
    ("ref", "suite"),
    [
        ("python:3.13-slim", "trixie"),
        ("python:3.13.9-slim-trixie", "trixie"),
        ("python:3.11-slim", "bookworm"),
    ],
)
def test_stand_ins_have_the_python_of_the_official_image(ref: str, suite: str) -> None:
    assert images.suite_of(ref) == suite
    assert images.base_key(ref).startswith(f"{suite}-minbase-")


@pytest.mark.parametrize("ref", ["python:3.9-slim", "golang:1.26", "python:3.13"])
def test_other_base_images_have_no_stand_in(ref: str) -> None:
    with pytest.raises(HarnessError, match="give this machine a registry"):
        images.suite_of(ref)


class FakeEngine:
    """A Docker engine that has some images and may pull others."""

    def __init__(self, *images: str) -> None:
        self.images = set(images)
        self.imported: list[str] = []

    def image_id(self, ref: str) -> str | None:
        return "id" if ref in self.images else None

    def docker(self, *words: object, timeout: float) -> None:
        assert timeout > 0
        self.imported.append(str(words[-1]))


PINNED = "python:3.13-slim@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("there", "pulled", "used", "imported"),
    [
        ((PINNED,), False, PINNED, []),
        ((), True, PINNED, []),
        ((), False, "python:3.13-slim", ["python:3.13-slim"]),
        (("python:3.13-slim",), False, "python:3.13-slim", []),
        # A floating image that happens to be there isn't taken where the pinned one can be pulled.
        (("python:3.13-slim",), True, PINNED, []),
    ],
)
def test_builds_start_from_the_pinned_base_or_a_stand_in(
    monkeypatch: pytest.MonkeyPatch,
    there: tuple[str, ...],
    pulled: bool,
    used: str,
    imported: list[str],
) -> None:
    monkeypatch.setattr(images, "_pull", lambda *_: pulled)
    monkeypatch.setattr(images, "_stand_in", Path)
    engine = FakeEngine(*there)
    assert images.ensure_base(cast(Engine, engine), PINNED) == used
    assert engine.imported == imported


def test_stand_in_looks_like_the_official_image(tmp_path: Path) -> None:
    marker = tmp_path / "usr/lib/python3.13/EXTERNALLY-MANAGED"
    for folder in ("usr/local/bin", "usr/lib/python3.13", "etc/ssl/certs", "usr/share/doc/bash"):
        (tmp_path / folder).mkdir(parents=True)
    marker.touch()
    images._finish(tmp_path, "python:3.13-slim")
    assert not marker.exists()
    assert not (tmp_path / "usr/share/doc/bash").exists()
    links = {link.name: str(link.readlink()) for link in (tmp_path / "usr/local/bin").iterdir()}
    assert links == {
        "python": "/usr/bin/python3.13",
        "python3": "/usr/bin/python3.13",
        "pip": "/usr/bin/pip3",
    }


def test_kind_node_image_comes_from_its_source() -> None:
    assert kind.image_in('package defaults\n\nconst Image = "node:v1@sha256:ab"\n') == "node:v1@sha256:ab"
    with pytest.raises(HarnessError, match="FLAME_CLUSTER=binaries"):
        kind.image_in("package defaults\n")


def test_node_keeps_to_its_own_folders(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    config = node.kubelet_config(tmp_path, authority, tmp_path / "crt", tmp_path / "key")
    for key in ("podLogsDir", "resolvConf", "volumePluginDir"):
        assert str(config[key]).startswith(str(tmp_path))
    assert f'root = "{tmp_path}/containerd"' in node.containerd_config(tmp_path)
