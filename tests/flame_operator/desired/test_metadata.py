"""Labels and annotations that users give to all children."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import job
from flame_operator.desired.inputs import Defaults, Facts
from flame_operator.desired.installation import with_defaults
from flame_operator.desired.run import Run
from flame_operator.resource.annotations import APPLIED_HASH
from flame_operator.resource.kinds import CHILD_KINDS, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.spec.workload import Metadata
from tests.support.operator.children import DEFAULTS, facts, parse

GIVEN = {"labels": {"team": "games"}, "annotations": {"example.com/cost": "42"}}
EVERYTHING: dict[str, Any] = {
    "auth": {"type": "Bearer"},
    "autoscaling": {},
    "ingress": {"host": "docs.example.com", "annotations": {"kubernetes.io/tls-acme": "true"}},
    "httpRoute": {"parentRefs": [{"name": "public"}]},
    "observability": {"serviceMonitor": {"type": "Enabled", "labels": {"release": "prometheus"}}},
    "vectorStore": {"type": "Managed", "managed": {"replicas": 3}},
}


def objects(one: Server, known: Facts | None = None) -> Iterator[Manifest]:
    """All children and a Job, without the digest of what was applied."""
    found = desired_children(one, DEFAULTS, known or facts(one))
    for child in (*found, job(one, DEFAULTS, Run("ingest", "", ""))):
        child["metadata"]["annotations"].pop(APPLIED_HASH, None)
        yield child


def templates(child: Manifest) -> Any:  # noqa: ANN401 - JSON
    return child.get("spec", {}).get("template")


def test_all_children_have_them_and_keep_their_own() -> None:
    plain, found = objects(parse(**EVERYTHING)), list(objects(parse(**EVERYTHING, metadata=GIVEN)))
    assert {child["kind"] for child in found} == {kind.kind for kind in CHILD_KINDS}
    for before, child in zip(plain, found, strict=True):
        metadata, old = child["metadata"], before["metadata"]
        assert metadata["labels"] == old["labels"] | GIVEN["labels"]
        # An Ingress takes only annotations that are known to do no harm.
        added = {} if child["kind"] == "Ingress" else GIVEN["annotations"]
        assert metadata["annotations"] == old["annotations"] | added


def test_no_pod_is_replaced() -> None:
    plain, found = objects(parse(**EVERYTHING)), objects(parse(**EVERYTHING, metadata=GIVEN))
    assert [templates(child) for child in found] == [templates(child) for child in plain]


def test_those_of_a_child_and_the_operators_win() -> None:
    own = {"app.kubernetes.io/instance": "forged", "release": "forged"}
    spec = EVERYTHING | {
        "metadata": {"labels": own, "annotations": {"flamemcp.dev/task": "forged", "a": "shared"}},
        "service": {"annotations": {"a": "own"}},
    }
    for child in objects(parse(**spec)):
        assert child["metadata"]["labels"]["app.kubernetes.io/instance"] == "docs"
        assert child["metadata"]["annotations"].get("flamemcp.dev/task") in {None, "ingest"}
        if child["kind"] == "ServiceMonitor":
            assert child["metadata"]["labels"]["release"] == "prometheus"
        if (child["kind"], child["metadata"]["name"]) == ("Service", "docs"):
            assert child["metadata"]["annotations"]["a"] == "own"


def test_those_of_the_installation_are_added_and_a_spec_wins() -> None:
    shared = Metadata(labels={"a": "shared", "b": "shared"}, annotations={"c": "shared"})
    defaults: Defaults = replace(DEFAULTS, metadata=shared)
    one = with_defaults(parse(metadata={"labels": {"a": "own"}}), defaults)
    assert one.spec.metadata.labels == {"a": "own", "b": "shared"}
    assert one.spec.metadata.annotations == {"c": "shared"}


def volume_template(**known: Any) -> Manifest:  # noqa: ANN401 - facts
    one = parse(vectorStore={"type": "Managed"}, metadata=GIVEN)
    (store,) = (
        child for child in objects(one, replace(facts(one), **known)) if child["kind"] == "StatefulSet"
    )
    found: Manifest = store["spec"]["volumeClaimTemplates"][0]["metadata"]
    return found


def test_claims_keep_what_they_were_made_with() -> None:
    """A StatefulSet's volume template can't be changed: the API server would refuse every later write."""
    assert volume_template() == {"name": "storage", **GIVEN}
    assert volume_template(claim_metadata={"labels": {}, "annotations": {}}) == {"name": "storage"}
    before = {"labels": {"team": "before"}, "annotations": {}}
    assert volume_template(claim_metadata=before) == {"name": "storage", "labels": {"team": "before"}}
