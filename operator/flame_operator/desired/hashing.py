"""Digests that say whether something has changed."""

import hashlib
import json

from flame_operator.desired.naming import APPLIED_HASH
from flame_operator.model import Manifest


def digest(value: object) -> str:
    """32 hexadecimal digits that are the same for equal JSON values, whatever their keys' order."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with its own digest as an annotation: a live object without it was applied differently."""
    metadata = manifest["metadata"]
    annotations = {**metadata["annotations"], APPLIED_HASH: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
