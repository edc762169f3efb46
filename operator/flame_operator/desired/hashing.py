"""Makes digests of JSON values, which tell whether something has changed."""

import hashlib
import json

from flame_operator.resource.annotations import APPLIED_HASH
from flame_operator.resource.kinds import Manifest

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)


def digest(value: object) -> str:
    """The digest of a JSON value, 32 hexadecimal digits; the order of keys doesn't matter."""
    return hashlib.sha256(_CANONICAL.encode(value).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def with_applied_hash(manifest: Manifest) -> Manifest:
    """The manifest with its own digest as an annotation, by which a live object shows what was applied."""
    metadata = manifest["metadata"]
    annotations = {**metadata["annotations"], APPLIED_HASH: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
