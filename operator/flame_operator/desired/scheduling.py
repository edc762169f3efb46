"""Makes the fields of a pod's spec that decide which node it runs on."""

from typing import Any

from flame_operator.desired.naming import Component, selector_labels
from flame_operator.resource.server import Server

SPREAD_OVER = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


def scheduling(server: Server) -> dict[str, Any]:
    """The scheduling fields of the search server's pods."""
    given = server.spec.scheduling
    fields: dict[str, Any] = {"topologySpreadConstraints": _spread(server), **placement(server)}
    if given.affinity:
        # Defaults are left out: an empty selector selects everything, but a missing one means something else.
        fields["affinity"] = given.affinity.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return fields


def spread_of_qdrant(server: Server) -> dict[str, Any]:
    """The user's topology spread constraints for the pods of a managed Qdrant; empty when there are none."""
    if not server.spec.scheduling.topology_spread_constraints:
        return {}
    return {"topologySpreadConstraints": _spread(server, "qdrant")}


def placement(server: Server) -> dict[str, Any]:
    """The scheduling fields that all pods of a server share, including those of Qdrant and ingestion.

    Affinity to pods isn't one of them: users write it with the labels of the server's pods in mind.
    """
    given = server.spec.scheduling
    fields: dict[str, Any] = {}
    if given.node_selector:
        fields["nodeSelector"] = dict(given.node_selector)
    if given.tolerations:
        fields["tolerations"] = [
            toleration.model_dump(by_alias=True, exclude_none=True) for toleration in given.tolerations
        ]
    if given.priority_class_name:
        fields["priorityClassName"] = given.priority_class_name
    affinity = given.affinity and given.affinity.node_affinity
    if affinity and (to_nodes := affinity.model_dump(mode="json", by_alias=True, exclude_defaults=True)):
        fields["affinity"] = {"nodeAffinity": to_nodes}
    return fields


def _spread(server: Server, component: Component = "server") -> list[dict[str, Any]]:
    """The user's topology spread constraints; by default, a preference for several nodes and zones."""
    constraints = [
        constraint.model_dump(by_alias=True, exclude_none=True)
        for constraint in server.spec.scheduling.topology_spread_constraints
    ] or [{"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway"} for key in SPREAD_OVER]
    return [
        {**constraint, "labelSelector": {"matchLabels": selector_labels(server.key.name, component)}}
        for constraint in constraints
    ]
