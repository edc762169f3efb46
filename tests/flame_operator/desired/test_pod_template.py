"""Labels and annotations that users give to pods."""

from dataclasses import replace
from typing import Any

from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import job
from flame_operator.desired.installation import with_defaults
from flame_operator.desired.run import Run
from flame_operator.resource.server import Server
from flame_operator.resource.spec.workload import Metadata
from tests.support.operator.children import DEFAULTS, facts, parse

STORE = {"type": "External", "external": {"url": "https://qdrant.example.com"}}
AZURE = {"endpoint": "https://a.example", "deployment": "d", "workloadIdentity": {}}


def templates(one: Server) -> list[dict[str, Any]]:
    """The metadata of all kinds of pods: of the server, of Qdrant, of Jobs."""
    wanted = [*desired_children(one, DEFAULTS, facts(one)), job(one, DEFAULTS, Run("ingest", "", ""))]
    return [child["spec"]["template"]["metadata"] for child in wanted if "template" in child.get("spec", {})]


def test_all_pods_have_them_and_keep_the_operators_own() -> None:
    given = {"labels": {"sidecar.istio.io/inject": "false"}, "annotations": {"linkerd.io/inject": "disabled"}}
    plain = templates(parse(vectorStore={"type": "Managed"}))
    found = templates(parse(vectorStore={"type": "Managed"}, podTemplate=given))
    assert len(found) == 3
    for one, before in zip(found, plain, strict=True):
        assert one["labels"] == before["labels"] | given["labels"]
        assert one["annotations"] == before["annotations"] | given["annotations"]


def test_they_never_replace_what_the_operator_sets() -> None:
    # The CRD refuses these; an installation's are refused by the chart.
    forged = {
        "labels": {"app.kubernetes.io/instance": "other", "azure.workload.identity/use": "false"},
        "annotations": {
            "flamemcp.dev/references-digest": "forged",
            "azure.workload.identity/skip-containers": "none",
        },
    }
    spec: dict[str, Any] = {"embedding": {"type": "AzureOpenAI", "azureOpenAI": AZURE}, "vectorStore": STORE}
    spec["ingestion"] = {"sources": [{"name": "docs", "bundled": {}}]}
    assert templates(parse(**spec, podTemplate=forged)) == templates(parse(**spec)) != []


def test_those_of_the_installation_are_added_and_a_spec_wins() -> None:
    shared = Metadata(labels={"a": "shared", "b": "shared"}, annotations={"c": "shared"})
    defaults = replace(DEFAULTS, pod_template=shared)
    one = with_defaults(parse(podTemplate={"labels": {"a": "own"}}), defaults)
    (deployment,) = [
        found for found in templates(one) if found["labels"]["app.kubernetes.io/component"] == "server"
    ]
    assert {name: deployment["labels"][name] for name in "ab"} == {"a": "own", "b": "shared"}
    assert deployment["annotations"]["c"] == "shared"
