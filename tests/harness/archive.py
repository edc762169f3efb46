"""Container images of one static program each, made without a registry and without a Docker engine."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NOBODY = (
    65532  # the numeric user that "distroless" images made customary; Pod Security wants one that isn't 0
)


def scratch_image(program: Path, tag: str, target: Path) -> str:
    """Writes an image with nothing but `/NAME`, its entrypoint, as `docker save` would.

    The same program gives the same bytes.

    Returns:
        The image's id, `sha256:...` of its configuration.
    """
    layer = _tar({program.name: (program.read_bytes(), 0o755)})
    architecture = platform.machine()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(architecture, architecture),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": f"{_NOBODY}:{_NOBODY}", "Env": ["PATH=/"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        },
        sort_keys=True,
    ).encode()
    digest = hashlib.sha256(config).hexdigest()
    manifest = json.dumps([{"Config": f"{digest}.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    members = {
        f"{digest}.json": (config, 0o644),
        "layer.tar": (layer, 0o644),
        "manifest.json": (manifest, 0o644),
    }
    target.write_bytes(_tar(members))
    return f"sha256:{digest}"


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
