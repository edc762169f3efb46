"""The operator has only the rights that it needs, and makes nothing that a user with `edit` may not make.

One campaign serves both: the operator runs with the identity, the rights and the settings that the chart
gives it, through all that examples and golden files ask for. The API server's audit log is the witness.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from flame_operator.resource.kinds import (
    CHILD_KINDS,
    JOB,
    KINDS,
    MANAGER,
    POD,
    SERVER,
    SERVICE,
    VOLUME_CLAIM,
    Kind,
    key_of,
)
from tests.harness.audit import AuditLog, Request
from tests.harness.client import ApiError, Client, admin
from tests.harness.control_plane import ControlPlane
from tests.harness.operator_process import Operator
from tests.harness.paths import REPO
from tests.harness.proc import wait_for
from tests.support.charts.operator_chart import render
from tests.support.cluster.cluster import CRD, Cluster
from tests.support.cluster.rbac import Right, granted, unused

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

Json = dict[str, Any]

RELEASE_NAMESPACE = "flame-mcp-system"
SECONDS = 60
NO_REQUEST = {
    # The admission plugin OwnerReferencesPermissionEnforcement asks for it inside other requests; that it is
    # needed shows a test below.
    Right("", SERVER.group, f"{SERVER.plural}/finalizers", "", "update")
}
STORE = ((POD, "docs-qdrant-0"), (VOLUME_CLAIM, "storage-docs-qdrant-0"))
GROWING: Json = {
    "metadata": {"name": "growing"},
    "provisioner": "kubernetes.io/no-provisioner",
    "allowVolumeExpansion": True,
}
VOLUME: Json = {
    "metadata": {"name": "growing"},
    "spec": {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "growing",
        "hostPath": {"path": "/nowhere"},
    },
}
GOLDEN = REPO / "tests/flame_operator/desired/golden"


@dataclass(frozen=True)
class Campaign:
    """What the operator has done, and with which rights."""

    plane: ControlPlane
    rights: set[Right]
    documents: list[Json]
    requests: list[Request]
    """Of the operator."""
    tenants: set[str]


def specs() -> dict[str, Json]:
    """All specs of the examples and golden files, by a name for a namespace."""
    files = [*sorted((REPO / "examples").glob("*.yaml")), *sorted(GOLDEN.glob("*.in.yaml"))]
    found = {}
    for file in files:
        for number, body in enumerate(yaml.safe_load_all(file.read_text())):
            if body and body["kind"] == SERVER.kind:
                found[f"{file.name.split('.')[0]}-{number}"] = body["spec"]
    return found


def switched_off() -> Json:
    """A spec with as little as possible; without pods: a Qdrant waits until they are replaced."""
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    fields = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    off = {
        name: {"type": "Disabled"}
        for name, schema in fields.items()
        if "Disabled" in schema.get("properties", {}).get("type", {}).get("enum", [])
    }
    return {**off, "replicas": 0}


def references(value: Any) -> Iterator[Json]:  # noqa: ANN401 - any JSON value
    """The Secrets and ConfigMaps that a spec refers to, with the keys that it names."""
    match value:
        case dict():
            for name, item in value.items():
                kind = "Secret" if name.endswith("SecretRef") else "ConfigMap"
                if name.endswith(("SecretRef", "ConfigMapRef")) and "key" in item:
                    data = {"stringData" if kind == "Secret" else "data": {item["key"]: "something"}}
                    yield {"apiVersion": "v1", "kind": kind, "metadata": {"name": item["name"]}, **data}
                else:
                    yield from references(item)
        case list():
            for item in value:
                yield from references(item)


def foreign_children() -> Iterator[Json]:
    """One object of each kind that the golden files have, as somebody else might have made it."""
    found: dict[str, Json] = {}
    for file in sorted(GOLDEN.glob("*.out.yaml")):
        for child in yaml.safe_load_all(file.read_text()):
            found.setdefault(child["kind"], child)
    for child in found.values():
        metadata = {"name": "docs", "labels": {"app.kubernetes.io/managed-by": "somebody"}}
        yield {**child, "metadata": metadata}


@dataclass
class Scene:
    """The scenario's hands."""

    client: Client

    async def put(self, kind: Kind, namespace: str, body: Json) -> None:
        placed = {**body, "metadata": {**body["metadata"], "namespace": namespace}}
        await self.client.apply(kind.path(*key_of(placed)), placed, manager="test")

    async def serve(self, namespace: str, spec: Json) -> None:
        body = {"apiVersion": SERVER.api_version, "kind": SERVER.kind, "metadata": {"name": "docs"}}
        await self.put(SERVER, namespace, {**body, "spec": spec})

    async def make_namespace(self, name: str) -> None:
        await self.client.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def is_there(self, method: str, path: str) -> bool:
        """Whether there was something to get or delete."""
        try:
            await self.client.send(method, path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def wait_for_status(self, namespace: str) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            body = await self.client.send("GET", SERVER.path(namespace, "docs"))
            if body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"]:
                return
            assert time.monotonic() < deadline, f"nobody has looked after {namespace}: {body}"
            await asyncio.sleep(0.1)

    async def begin(self) -> set[str]:
        """Make resources of all kinds, and one whose children's names are all taken."""
        tenants = specs()
        served = {kind.kind for kind in CHILD_KINDS if await self.is_there("GET", kind.path())}
        for namespace, spec in tenants.items():
            await self.make_namespace(namespace)
            for body in references(spec):
                await self.put(KINDS[body["kind"]], namespace, body)
            await self.serve(namespace, spec)
        for namespace, spec in tenants.items():
            await self.make_namespace(f"taken-{namespace}")
            for body in foreign_children():
                if body["kind"] in served:
                    await self.put(KINDS[body["kind"]], f"taken-{namespace}", body)
            await self.serve(f"taken-{namespace}", spec)
        return {*tenants, *(f"taken-{namespace}" for namespace in tenants)}

    async def wait_for(self, what: str, path: str, holds: Callable[[Json], bool]) -> Json:
        """Wait until something is there and as it should be."""
        deadline = time.monotonic() + SECONDS
        while True:
            if await self.is_there("GET", path):
                found = await self.client.send("GET", path)
                if holds(found):
                    return found
            assert time.monotonic() < deadline, f"never there: {what}"
            await asyncio.sleep(0.1)

    async def load(self, namespace: str) -> None:
        """A Qdrant of a resource's own, up to a Job; then another spec, and larger volumes."""
        pod, claim = (kind.path(namespace, name) for kind, name in STORE)
        await self.client.send("POST", "/apis/storage.k8s.io/v1/storageclasses", GROWING)
        await self.client.send("POST", "/api/v1/persistentvolumes", VOLUME)
        await self.make_namespace(namespace)
        storage = {"storageClassName": "growing"}
        managed: Json = {"storage": storage}
        spec: Json = {"vectorStore": {"type": "Managed", "managed": managed}}
        await self.serve(namespace, spec)
        # There is no node: this is what a kubelet would report.
        await self.wait_for("Qdrant's pod", pod, lambda _: True)
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await self.merge(f"{pod}/status", {"status": ready})
        await self.wait_for("a Job", JOB.path(namespace), lambda found: bool(found["items"]))
        await self.wait_for("its volume", claim, lambda found: found["status"]["phase"] == "Bound")
        managed["storage"] = {**storage, "size": "20Gi"}
        await self.serve(namespace, {**spec, "embedding": {"type": "None"}})
        await self.wait_for(
            "a larger volume",
            claim,
            lambda found: found["spec"]["resources"]["requests"]["storage"] == "20Gi",
        )

    async def merge(self, path: str, body: Json) -> None:
        await self.client.send("PATCH", path, body, content_type="application/merge-patch+json")

    async def go_on(self, tenants: set[str]) -> None:
        """Once all have been looked after: damage something, and switch everything off."""
        for namespace in tenants:
            await self.wait_for_status(namespace)
        mine = [namespace for namespace in sorted(tenants) if not namespace.startswith("taken-")]
        await self.is_there("DELETE", SERVICE.path(mine[0], "docs"))
        for namespace in mine:
            await self.serve(namespace, switched_off())
        for namespace in mine:
            await self.wait_for_status(namespace)
        await self.client.send("DELETE", SERVER.path(mine[0], "docs"))


def settings(documents: list[Json]) -> dict[str, str]:
    """The environment that the chart gives the operator."""
    (deployment,) = (one for one in documents if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    fields = {"metadata.namespace": RELEASE_NAMESPACE, "metadata.name": "operator-0"}
    return {
        item["name"]: item.get("value") or fields[item["valueFrom"]["fieldRef"]["fieldPath"]]
        for item in container["env"]
    }


def log_in(plane: ControlPlane, account: str, folder: Path) -> Path:
    """A kubeconfig for a service account."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    token = plane.kubectl("create", "token", account, "-n", RELEASE_NAMESPACE).stdout.strip()
    config["users"][0]["user"] = {"token": token}
    path = folder / f"{account}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    folder = tmp_path_factory.mktemp("campaign")
    audit_log = folder / "audit.log"
    enforcing = ["OwnerReferencesPermissionEnforcement"]
    with ControlPlane.start(folder / "plane", audit_log=audit_log, admission=enforcing) as plane:
        documents = render()
        identity = [
            one for one in documents if one["kind"].endswith(("Role", "RoleBinding", "ServiceAccount"))
        ]
        (account,) = (one["metadata"]["name"] for one in identity if one["kind"] == "ServiceAccount")
        plane.kubectl("create", "namespace", RELEASE_NAMESPACE)
        plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(identity))
        plane.kubectl("apply", "--server-side", "-f", str(CRD))
        wait_for(
            "the CRD",
            lambda: plane.kubectl("get", SERVER.plural, check=False).returncode == 0,
            timeout=SECONDS,
        )
        rights = granted(identity, account)
        requests: list[Request] = []
        log = AuditLog(audit_log)
        user = f"system:serviceaccount:{RELEASE_NAMESPACE}:{account}"

        def all_is_used() -> bool:
            requests.extend(log.new(user))
            return not unused(rights - NO_REQUEST, requests)

        async def run() -> set[str]:
            async with admin(plane) as client:
                scene = Scene(client)
                tenants = await scene.begin()
                await scene.load("store")
                await scene.go_on(tenants)
                return tenants

        chart = {**settings(documents), "FLAME_OPERATOR_METRICS_PORT": "0"}
        operator = Operator(log_in(plane, account, folder), folder / "operator.log", **chart)
        operator.wait_until_ready()
        tenants = asyncio.run(run())
        deadline = time.monotonic() + SECONDS
        while not all_is_used() and time.monotonic() < deadline:
            time.sleep(0.5)
        operator.stop()
        all_is_used()
        yield Campaign(plane, rights, identity, requests, tenants)


def test_no_right_is_granted_in_vain(campaign: Campaign) -> None:
    vain = unused(campaign.rights - NO_REQUEST, campaign.requests)
    assert not vain, "\n".join(["granted, but never used:", *vain])


def test_no_right_is_missing(campaign: Campaign) -> None:
    missing = {f"{one.verb} {one.target}" for one in campaign.requests if one.code in (401, 403)}
    assert not missing, "\n".join(["used, but not granted:", *sorted(missing)])


def creations(campaign: Campaign) -> list[Request]:
    """The requests that made an object in a tenant's namespace."""
    return [one for one in campaign.requests if one.created and one.namespace in campaign.tenants]


async def replay(client: Client, request: Request, namespace: str, user: str) -> int:
    """The code with which the same object is answered there, for that user; nothing is stored."""
    path, _, _ = request.path.partition("?")
    body = json.loads(json.dumps(request.body).replace(f'"{request.namespace}"', f'"{namespace}"'))
    headers = {"Impersonate-User": user}
    try:
        await client.apply(
            path.replace(f"/namespaces/{request.namespace}/", f"/namespaces/{namespace}/"),
            body,
            manager=MANAGER,
            headers=headers,
            dryRun="All",
        )
    except ApiError as error:
        return error.status
    return 201


async def test_a_user_with_edit_may_make_all_that_the_operator_makes(
    cluster: Cluster, namespace: str, campaign: Campaign
) -> None:
    cluster.kubectl("create", "rolebinding", "tenant", "--clusterrole=edit", "--user=tenant", "-n", namespace)
    made = creations(campaign)
    assert {one.verb for one in made} == {"patch"}, "only applies are replayed here"
    async with admin(cluster.plane) as client:
        refused = {
            f"{one.target} {one.namespace}/{one.name}: {code}"
            for one in made
            if (code := await replay(client, one, namespace, "tenant")) != 201
        }
        print(f"{len(made)} objects: {sorted({one.target for one in made})}")
        assert refused == set()
        assert await replay(client, made[0], namespace, "stranger") == 403


async def test_owner_references_need_the_right_that_no_request_shows(campaign: Campaign) -> None:
    """With every other right of the operator's, a child is refused for its owner reference."""
    (binding,) = (one for one in campaign.documents if one["kind"] == "ClusterRoleBinding")
    bound = ("ClusterRole", binding["roleRef"]["name"])
    (role,) = (one for one in campaign.documents if (one["kind"], one["metadata"]["name"]) == bound)
    rules = [rule for rule in role["rules"] if f"{SERVER.plural}/finalizers" not in rule["resources"]]
    assert len(rules) == len(role["rules"]) - 1
    for body in (
        {**role, "metadata": {"name": "less"}, "rules": rules},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "less"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "less"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "less"}],
        },
    ):
        campaign.plane.kubectl("apply", "-f", "-", input=yaml.safe_dump(body))
    campaign.plane.kubectl("create", "namespace", "elsewhere")
    child = next(one for one in creations(campaign) if one.body["metadata"].get("ownerReferences"))
    async with admin(campaign.plane) as client:
        assert await replay(client, child, "elsewhere", "less") == 403
        without = {**child.body["metadata"], "ownerReferences": []}
        free = dataclasses.replace(child, body={**child.body, "metadata": without})
        assert await replay(client, free, "elsewhere", "less") == 201
