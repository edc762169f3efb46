# ruff: noqa: ANN401 - JSON values
"""The children of servers in tests, with all that an installation and a cluster may add."""

from dataclasses import replace
from typing import Any

from flame_operator.desired.children import desired_children
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.naming import QDRANT_READ_KEY, QDRANT_WRITE_KEY
from flame_operator.desired.references import references
from flame_operator.resource.kinds import Manifest
from flame_operator.resource.server import Server, parse_server
from flame_operator.resource.spec.backends import VectorStore
from flame_operator.resource.unions import generates_token, managed_qdrant
from tests.support.operator.fake_kube import server
from tests.support.operator.specs import servers

DEFAULTS = Defaults(
    image="registry.example/flame-mcp-server:1",
    operator_namespace="flame-mcp-system",
    http_routes=True,
    service_monitors=True,
)
TOKEN = "dG9rZW4tb2YtYS10ZXN0"  # noqa: S105 - of a test


def facts(one: Server) -> Facts:
    """What the operator would know of the server's Secrets and ConfigMaps."""
    return Facts(
        references="0" * 32 if any(reference.rolls for reference in references(one)) else "",
        token=TOKEN if generates_token(one) else None,
        qdrant_keys={QDRANT_WRITE_KEY: TOKEN, QDRANT_READ_KEY: TOKEN} if managed_qdrant(one) else None,
    )


def children_of(one: Server, defaults: Defaults = DEFAULTS) -> dict[str, Manifest]:
    """All children by kind, in their order."""
    return {child["kind"]: child for child in desired_children(one, defaults, facts(one))}


def parse(**spec: Any) -> Server:
    return parse_server(server(**spec), forbid_unknown=True)


def children(**spec: Any) -> dict[str, Manifest]:
    return children_of(parse(**spec))


def pod(**spec: Any) -> dict[str, Any]:
    """The spec of the Deployment's pods."""
    found: dict[str, Any] = children(**spec)["Deployment"]["spec"]["template"]["spec"]
    return found


def _supported(one: Server) -> Server:
    store = VectorStore() if one.spec.vector_store.type == "Managed" else one.spec.vector_store
    return replace(one, spec=one.spec.model_copy(update={"ingestion": None, "vector_store": store}))


supported_servers = servers().map(_supported)
"""Servers that have children: without what the operator can't do yet."""
