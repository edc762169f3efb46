"""Describes the sources of docs to ingestion's pods, and makes the volumes that they need."""

from typing import Any

from flame_operator.desired.pod import CREDENTIALS_MODE
from flame_operator.resource.server import Server
from flame_operator.resource.spec.backends import Source

MOUNTS_PATH = "/run/flame-mcp/sources"
"""The folder with docs that come from volumes, in a subfolder for each source."""
CREDENTIALS_PATH = "/etc/flame-mcp/sources"
"""The folder with the sources' credentials, in a subfolder for each source."""
CA_FILE = "ca.crt"


def sources_as_json(server: Server) -> list[dict[str, Any]]:
    """The sources in the form that `flame-mcp index fetch` reads; by default, only the image's docs."""
    given = server.spec.ingestion
    if given is None:
        return [{"name": "flame", "bundled": {}}]
    return [_as_json(source) for source in given.sources]


def _as_json(source: Source) -> dict[str, Any]:
    site = {"siteURL": source.site_url} if source.site_url else {}
    return _member(source) | site


def _member(source: Source) -> dict[str, Any]:
    if source.git:
        return {
            "name": source.name,
            "git": {"url": source.git.url, "ref": source.git.ref, "path": source.git.path},
        }
    if source.http:
        archive = {"url": source.http.url, "sha256": source.http.sha256}
        return {"name": source.name, "http": {key: value for key, value in archive.items() if value}}
    if source.config_map_ref:
        return {"name": source.name, "configMap": {}}
    if source.persistent_volume_claim_ref:
        path = source.persistent_volume_claim_ref.path
        return {"name": source.name, "persistentVolumeClaim": {"path": path} if path else {}}
    return {"name": source.name, "bundled": {}}


def urls_of_sources(server: Server) -> tuple[str, ...]:
    """The URLs that the fetch container connects to."""
    given = server.spec.ingestion
    remote = (source.git or source.http for source in (given.sources if given else ()))
    return tuple(source.url for source in remote if source)


def source_volumes(server: Server) -> list[dict[str, Any]]:
    """The volumes with docs, and those with the credentials of sources."""
    found: list[dict[str, Any]] = []
    for source in _given(server):
        if files := _credentials(source):
            volume = {"defaultMode": CREDENTIALS_MODE, "sources": files}
            found.append({"name": f"auth-{source.name}", "projected": volume})
        if source.config_map_ref:
            found.append({"name": f"docs-{source.name}", "configMap": {"name": source.config_map_ref.name}})
        if claim := source.persistent_volume_claim_ref:
            reference = {"claimName": claim.claim_name, "readOnly": True}
            found.append({"name": f"docs-{source.name}", "persistentVolumeClaim": reference})
    return found


def source_mounts(server: Server) -> list[dict[str, Any]]:
    """The mounts of the volumes of `source_volumes`, all of them read-only."""
    found: list[dict[str, Any]] = []
    for source in _given(server):
        if _credentials(source):
            path = f"{CREDENTIALS_PATH}/{source.name}"
            found.append({"name": f"auth-{source.name}", "mountPath": path, "readOnly": True})
        if source.config_map_ref or source.persistent_volume_claim_ref:
            path = f"{MOUNTS_PATH}/{source.name}"
            found.append({"name": f"docs-{source.name}", "mountPath": path, "readOnly": True})
    return found


def _given(server: Server) -> tuple[Source, ...]:
    return server.spec.ingestion.sources if server.spec.ingestion else ()


def _credentials(source: Source) -> list[dict[str, Any]]:
    """The files that a remote source needs: a password, and the CA of a private server."""
    remote = source.git or source.http
    if remote is None:
        return []
    found: list[dict[str, Any]] = []
    if secret := remote.credentials_secret_ref:
        found.append({"secret": {"name": secret.name}})
    if bundle := remote.ca_bundle_config_map_ref:
        items = [{"key": bundle.key, "path": CA_FILE}]
        found.append({"configMap": {"name": bundle.name, "items": items}})
    return found
