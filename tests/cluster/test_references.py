"""References against a real API server, as somebody who may get Secrets by name and nothing else."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from kubernetes.aio.client import Configuration

from flame_operator.api.kube import AioKube
from flame_operator.api.transport import Transport, open_session
from flame_operator.desired.references import Reference
from flame_operator.errors import Forbidden
from flame_operator.references.digests import Digests, load_key
from flame_operator.references.lookup import References
from flame_operator.resource.kinds import CONFIG_MAP, SECRET, Key
from tests.support.cluster.cluster import Cluster, Json

pytestmark = pytest.mark.cluster

TOKEN = Reference(SECRET, "tokens", "bearer", "spec.auth.bearer.tokenSecretRef", rolls=True)
BUNDLE = Reference(CONFIG_MAP, "ca", "ca.crt", "spec.vectorStore.external.caBundleConfigMapRef", rolls=True)


def secret(namespace: str, value: str) -> Json:
    data = {"bearer": base64.b64encode(value.encode()).decode()}
    metadata = {"name": "tokens", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


class Reader:
    """A service account that may do in one namespace what it is told."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.me = {"name": "reader", "namespace": namespace}
        cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.me})

    def may(self, verbs: list[str], resource: str) -> None:
        group = "rbac.authorization.k8s.io"
        rule = {"apiGroups": [""], "resources": [resource], "verbs": verbs}
        self.cluster.apply(
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": self.me, "rules": [rule]},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": self.me,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
                "subjects": [{"kind": "ServiceAccount", **self.me}],
            },
        )
        namespace = self.me["namespace"]
        user = f"--as=system:serviceaccount:{namespace}:reader"
        self.cluster.wait_until(
            "the rights to be in force",
            lambda: (
                self.cluster.kubectl(
                    "auth", "can-i", verbs[-1], resource, "-n", namespace, user, check=False
                ).returncode
                == 0
            ),
        )

    @asynccontextmanager
    async def api(self) -> AsyncIterator[AioKube]:
        plane = self.cluster.plane
        token = plane.kubectl("create", "token", "reader", "-n", self.me["namespace"]).stdout.strip()
        configuration = Configuration(
            host=plane.endpoints.server,
            api_key={"BearerToken": f"Bearer {token}"},
            ssl_ca_cert=str(plane.state / "pki/ca.crt"),
        )
        async with open_session(configuration, 4, "test") as session:
            yield AioKube(Transport(configuration, session, concurrency=4))


@pytest.fixture
def reader(cluster: Cluster, namespace: str) -> Reader:
    return Reader(cluster, namespace)


class Told:
    """Who was told of a change."""

    def __init__(self) -> None:
        self._keys: asyncio.Queue[Key] = asyncio.Queue()

    def __call__(self, key: Key) -> None:
        self._keys.put_nowait(key)

    async def next(self) -> Key:
        return await asyncio.wait_for(self._keys.get(), 20)


@asynccontextmanager
async def polling(api: AioKube, told: Told) -> AsyncIterator[References]:
    references = References(api, Digests(b"k" * 32), told, poll_seconds=0.2)
    task = asyncio.create_task(references.run())
    try:
        yield references
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_secret_is_missed_found_and_followed(
    cluster: Cluster, namespace: str, reader: Reader
) -> None:
    reader.may(["get"], "secrets")
    server, told = Key(namespace, "docs"), Told()
    async with reader.api() as api, polling(api, told) as references:
        with pytest.raises(Forbidden):
            _ = [found async for found in api.list(SECRET, namespace=namespace)]

        missing = await references.resolve(server, [TOKEN])
        assert missing.problems == (
            f'{TOKEN.field}: Secret {namespace}/tokens doesn\'t exist; create it with the key "bearer"',
        )

        await asyncio.to_thread(cluster.apply, secret(namespace, "one"))
        assert await told.next() == server
        first = await references.resolve(server, [TOKEN])
        assert (first.problems, first.digest != "") == ((), True)

        await asyncio.to_thread(cluster.apply, secret(namespace, "two"))
        assert await told.next() == server
        second = await references.resolve(server, [TOKEN])
        assert second.digest not in ("", first.digest)

        await asyncio.to_thread(cluster.kubectl, "delete", "secret", "tokens", "-n", namespace)
        assert await told.next() == server
        assert await references.resolve(server, [TOKEN]) == missing


async def test_a_missing_right_is_named_until_it_is_there(
    cluster: Cluster, namespace: str, reader: Reader
) -> None:
    reader.may(["get"], "secrets")
    bundle = {"name": "ca", "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": bundle, "data": {"ca.crt": "x"}})
    server, told = Key(namespace, "docs"), Told()
    async with reader.api() as api, polling(api, told) as references:
        (problem,) = (await references.resolve(server, [BUNDLE])).problems
        assert problem.endswith(f"give its role the verb get on configmaps in namespace {namespace}")
        await asyncio.to_thread(reader.may, ["get"], "configmaps")
        assert await told.next() == server
        assert (await references.resolve(server, [BUNDLE])).problems == ()


async def test_replicas_that_start_at_once_share_one_key(
    cluster: Cluster, namespace: str, reader: Reader
) -> None:
    reader.may(["get", "create", "patch"], "secrets")
    async with reader.api() as one, reader.api() as other:
        first, second = await asyncio.gather(load_key(one, namespace), load_key(other, namespace))
    assert first == second
    stored = cluster.found("secret", "flame-mcp-operator-key", namespace)
    assert base64.b64decode(stored["data"]["key"]) == first
    assert stored["immutable"] is True
