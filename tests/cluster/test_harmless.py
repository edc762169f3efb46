"""The operator has only the rights that it needs, and makes nothing that a user with `edit` may not make.

One campaign serves both: the operator runs with the identity, the rights and the settings that the chart
gives it, through all that examples and golden files ask for. The API server's audit log is the witness.
"""

import asyncio
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from flame_operator.resource.kinds import MANAGER, SERVER
from tests.harness.audit import AuditLog, Request
from tests.harness.client import ApiError, Client, admin
from tests.harness.control_plane import ControlPlane
from tests.harness.operator_process import Operator
from tests.harness.proc import wait_for
from tests.support.charts.operator_chart import render
from tests.support.cluster.campaign import RELEASE_NAMESPACE, SECONDS, Scene
from tests.support.cluster.cluster import CRD, Cluster, Json
from tests.support.cluster.rbac import Right, granted, unused

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NO_REQUEST = {
    # The admission plugin OwnerReferencesPermissionEnforcement asks for it inside other requests; that it is
    # needed shows a test below.
    Right("", SERVER.group, f"{SERVER.plural}/finalizers", "", "update")
}


@dataclass(frozen=True)
class Campaign:
    """What the operator has done, and with which rights."""

    plane: ControlPlane
    rights: set[Right]
    documents: list[Json]
    requests: list[Request]
    """Of the operator."""
    tenants: set[str]


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
