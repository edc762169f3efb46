"""Namespaces that a label selector chooses: they come and go while the operator runs."""

from collections.abc import Callable

import pytest

from tests.harness.operator_process import Operator
from tests.support.cluster.cluster import Cluster, server

pytestmark = pytest.mark.cluster


def test_a_namespace_is_handled_as_long_as_it_has_the_label(
    cluster: Cluster, start_operator: Callable[..., Operator]
) -> None:
    theirs, ours = cluster.namespace(), cluster.namespace(tier="chosen")
    for namespace in (theirs, ours):
        cluster.apply(server("docs", namespace))
    operator = start_operator(FLAME_OPERATOR_NAMESPACE_SELECTOR="tier in (chosen,other),!left-alone")

    def has_children(namespace: str) -> bool:
        return cluster.get("deployment", "docs", namespace) is not None

    def image(namespace: str) -> str:
        template = cluster.found("deployment", "docs", namespace)["spec"]["template"]
        return str(template["spec"]["containers"][0]["image"])

    cluster.wait_until("the children in the chosen namespace", lambda: has_children(ours))
    assert not has_children(theirs)
    assert not cluster.found("fmcp", "docs", theirs).get("status", {}).get("observedGeneration")

    cluster.kubectl("label", "namespace", theirs, "tier=other")
    cluster.wait_until("the children in the other one", lambda: has_children(theirs))

    cluster.kubectl("label", "namespace", theirs, "left-alone=yes")
    cluster.wait_until("it to be left", lambda: "no longer chosen" in operator.log.read_text())
    cluster.apply(server("docs", theirs, image="other:1"), server("docs", ours, image="other:1"))
    cluster.wait_until("the change in the chosen namespace", lambda: image(ours) == "other:1")
    assert image(theirs) != "other:1"
    generation = cluster.found("fmcp", "docs", theirs)["metadata"]["generation"]
    assert cluster.found("fmcp", "docs", theirs)["status"]["observedGeneration"] < generation

    # It comes back with nothing that is newer than what was seen meanwhile.
    cluster.kubectl("label", "namespace", theirs, "left-alone-")
    cluster.wait_until("the change there, too", lambda: image(theirs) == "other:1")
