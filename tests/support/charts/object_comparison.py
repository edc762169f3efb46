"""Compares the objects that a chart renders with those that the operator makes, ignoring ownership."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from flame_operator.resource.kinds import Manifest

NOTES = ("applied-hash", "references-digest", "owns-secret", "task", "trigger", "inputs", "attempt")
"""The operator's own annotations."""


def comparable(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The objects by kind and name, without what tells whose they are."""
    found = {}
    for manifest in map(copy.deepcopy, manifests):
        manifest["metadata"].pop("ownerReferences", None)
        for place in (manifest, *_templates(manifest)):
            _anonymous(place)
        name = re.sub(r"-ingest-[0-9a-f]{8}$", "-ingest-RUN", manifest["metadata"]["name"])
        manifest["metadata"]["name"] = name
        found[f"{manifest['kind']} {name}"] = manifest
    return found


def _templates(manifest: Manifest) -> list[Manifest]:
    """The pod templates and job templates of an object."""
    spec = manifest.get("spec", {})
    nested = [spec[name] for name in ("template", "jobTemplate") if name in spec]
    return nested + [inner for one in nested for inner in _templates(one)]


def _anonymous(place: Manifest) -> None:
    metadata = place.setdefault("metadata", {})
    for label in ("app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"):
        metadata.get("labels", {}).pop(label, None)
    for note in NOTES:
        metadata.get("annotations", {}).pop(f"flamemcp.dev/{note}", None)
    if not metadata.get("annotations"):
        metadata.pop("annotations", None)


def differences(plain: Any, operators: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - JSON values
    """Where two JSON values differ."""
    if isinstance(plain, dict) and isinstance(operators, dict):
        for name in sorted({*plain, *operators}):
            yield from differences(plain.get(name), operators.get(name), f"{path}/{name}")
    elif isinstance(plain, list) and isinstance(operators, list) and len(plain) == len(operators):
        for index, pair in enumerate(zip(plain, operators, strict=True)):
            yield from differences(*pair, f"{path}/{index}")
    elif plain != operators or type(plain) is not type(operators):
        yield f"{path}: {plain!r} in the chart, {operators!r} of the operator"
