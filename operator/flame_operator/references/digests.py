"""Makes keyed digests, which tell whether a Secret's value has changed and reveal nothing else about it.

The digests are stored in annotations, which more people may read than Secrets. The password behind a plain
hash could be found by trying if it is short, so these digests are keyed with random bytes that only the
operator has. The namespace is part of the hashed text, so that nobody can find out the value of another
tenant's Secret by giving a Secret of their own the same content.
"""

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from flame_operator.desired import hashing
from flame_operator.errors import Conflict, Refused, UserError
from flame_operator.formats.shape import mapping, text
from flame_operator.resource.kinds import MANAGER, SECRET, Key, Kind, Manifest

KEY_SECRET = "flame-mcp-operator-key"  # noqa: S105 - a name
KEY_BYTES = 32
_FIELD = "key"


class KeyApi(Protocol):
    """The part of `KubeApi` that `load_key` needs."""

    async def get(self, kind: Kind, key: Key) -> Manifest | None:
        """The object with this key, or None when there is none."""

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Create an object; `uid` is None."""


async def load_key(api: KeyApi, namespace: str, name: str = KEY_SECRET) -> bytes:
    """The key of all digests, from the operator's own Secret, which is created when it doesn't exist.

    Args:
        api: The API of the cluster.
        namespace: The operator's own namespace.
        name: The Secret's name.

    Returns:
        At least `KEY_BYTES` bytes.

    Raises:
        UserError: The Secret can't be used, read or created; the message says what to do.
        Unavailable: The API server doesn't answer.
    """
    place = Key(namespace, name)
    try:
        found = await _stored(api, place)
    except Refused as error:
        raise UserError(
            f"the operator can't use its own Secret {place}: {error}. Install the operator's RBAC rules and "
            "start it again"
        ) from error
    return _key_in(found, place)


async def _stored(api: KeyApi, place: Key) -> Manifest | None:
    found = await api.get(SECRET, place)
    if found is not None:
        return found
    try:
        return await api.apply(_key_secret(place), uid=None)
    except Conflict:
        return await api.get(SECRET, place)  # another replica was faster


def _key_secret(place: Key) -> Manifest:
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {
            "name": place.name,
            "namespace": place.namespace,
            "labels": {"app.kubernetes.io/managed-by": MANAGER, "app.kubernetes.io/part-of": "flame-mcp"},
        },
        "type": "Opaque",
        "immutable": True,
        "data": {_FIELD: base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()},
    }


def _key_in(found: Manifest | None, place: Key) -> bytes:
    try:
        key = base64.b64decode(((found or {}).get("data") or {}).get(_FIELD, ""), validate=True)
    except binascii.Error:
        key = b""
    if len(key) < KEY_BYTES:
        raise UserError(
            f'Secret {place} has no key "{_FIELD}" of at least {KEY_BYTES} bytes, which the operator needs '
            "for the digests of referenced Secrets. Delete it and start the operator again: it makes a new "
            "one, and pods that read Secrets are replaced once"
        )
    return key


class Part(NamedTuple):
    """One key of a Secret or ConfigMap, and the digest of its value; a part of a combined digest."""

    kind: str
    name: str
    key: str | None
    digest: bytes


class Digests:
    """Makes digests with one key.

    The key may be set later, by `use`: only an operator that leads may create the Secret that holds it.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key

    def use(self, key: bytes) -> None:
        """Make digests with this key from now on."""
        self._key = key

    def value(self, body: Manifest, key: str | None) -> bytes:
        """The digest of a key's value, or of all values.

        Args:
            body: A Secret or ConfigMap.
            key: The key in its data; None means all of it.

        Returns:
            16 bytes; empty when there is no such key, or its value is empty.
        """
        data, binary = mapping(body.get("data")), mapping(body.get("binaryData"))
        if key is None:
            keys = sorted({*data, *binary})
            return self._hash([body["kind"], keys], b"".join(self.value(body, one) for one in keys))
        encoded = body["kind"] == SECRET.kind or key in binary
        stored = text(binary.get(key)) or text(data.get(key))
        value = _decoded(stored) if encoded else stored.encode("utf-8", "surrogatepass")
        if not value:
            return b""
        metadata = body["metadata"]
        return self._hash([body["kind"], metadata["namespace"], metadata["name"], key], value)

    def all_of(self, parts: Iterable[Part]) -> str:
        """A combined digest of several values: a digest of their names, then one of the values.

        Returns:
            8 hexadecimal digits, a hyphen and 32 more; empty when there are no parts.
        """
        ordered = sorted(set(parts), key=lambda part: (part.kind, part.name, part.key or ""))
        if not ordered:
            return ""
        names = [part[:3] for part in ordered]
        values = self._hash(names, b"".join(part.digest for part in ordered))
        return f"{hashing.digest(names)[:8]}-{values.hex()}"

    def _hash(self, names: object, value: bytes) -> bytes:
        if not self._key:
            raise RuntimeError("there is no key yet: without one a digest would reveal its value")
        # JSON escapes line breaks, so the first line break ends the names.
        prefix = json.dumps(names, separators=(",", ":")).encode() + b"\n"
        return hmac.digest(self._key, prefix + value, "sha256")[:16]


def _decoded(value: str) -> bytes:
    """The bytes that base64 stands for; what isn't base64 stands for itself."""
    try:
        return base64.b64decode(value)
    except ValueError:
        return value.encode("utf-8", "surrogatepass")


def only_values_differ(one: str, other: str) -> bool:
    """Whether two digests of `Digests.all_of` are of the same keys of the same objects, with other values."""
    return one != other and one.partition("-")[0] == other.partition("-")[0]
