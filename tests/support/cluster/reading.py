"""What is there, asked of the API server itself: a kubectl takes a hundred times the processor time.

Tests look again and again until something is there, so that most of their time went into starting kubectl.
"""

import http.client
import json
import ssl
from functools import cached_property
from typing import Any

from tests.harness.client import tls
from tests.harness.control_plane import ControlPlane
from tests.harness.errors import HarnessError

Json = dict[str, Any]

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Reader:
    """The objects as kubectl shows them: by any name of their kind, without managed fields."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._paths: dict[str, tuple[str, str, bool]] = {}

    def get(self, kind: str, name: str, namespace: str) -> Json | None:
        """An object; None when there is none."""
        found = self._read(f"{self._path(kind, namespace)}/{name}")
        return None if found is None else _shown(found)

    def items(self, kind: str, namespace: str) -> list[Json]:
        """All objects of a kind."""
        found = self._read(self._path(kind, namespace))
        if found is None:
            raise HarnessError(f"the API server has no {kind}")
        of = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        return [_shown({**of, **item}) for item in found["items"]]

    def _path(self, kind: str, namespace: str) -> str:
        name = kind.lower()
        if name not in self._paths:
            self._discover()
        if name not in self._paths:
            raise HarnessError(f"the API server has no {kind}")
        version, plural, namespaced = self._paths[name]
        return f"{version}/namespaces/{namespace}/{plural}" if namespaced else f"{version}/{plural}"

    def _discover(self) -> None:
        """Learns the kinds by all their names; where groups have one in common, the first of them has it."""
        for root in ("/api", "/apis"):
            for group in (self._read(root, _DISCOVERY) or {"items": []})["items"]:
                name = group["metadata"].get("name")
                for version in group["versions"][:1]:
                    path = f"{root}/{name}/{version['version']}" if name else f"{root}/{version['version']}"
                    for one in version["resources"]:
                        place = (path, one["resource"], one["scope"] == "Namespaced")
                        for known in (one["resource"], one["singularResource"], *one.get("shortNames", [])):
                            self._paths.setdefault(known, place)

    def _read(self, path: str, accept: str = "application/json") -> Json | None:
        # Each time a new connection: the API server closes one that is idle for long.
        at = self._plane.endpoints
        connection = http.client.HTTPSConnection(at.address, at.api_port, timeout=30, context=self._trust)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise HarnessError(f"GET {path}: {error}") from error
        finally:
            connection.close()
        if answer.status == http.client.NOT_FOUND:
            return None
        if answer.status != http.client.OK:
            raise HarnessError(f"GET {path}: {answer.status} {text.decode(errors='replace')}")
        found: Json = json.loads(text)
        return found

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return tls(self._plane.state / "pki", "admin")


def _shown(body: Json) -> Json:
    body["metadata"].pop("managedFields", None)
    return body
