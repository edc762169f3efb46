"""Whole passes: pods that are asked, tokens that are made, Secrets that are read, and what can't be had."""

from base64 import b64encode
from typing import Any

from flame_operator.desired.inputs import Defaults
from flame_operator.errors import Forbidden
from flame_operator.resource.kinds import DEPLOYMENT, SECRET, SERVER, SERVICE, Key, Manifest
from flame_operator.resource.status import ServerInfo
from flame_operator.verification.verdict import Finding, Verdict
from tests.support.operator.fake_kube import FakeKube, server
from tests.support.operator.reconciling import KEY, Operator, conditions, running, with_pods, with_server


def verdict(ok: bool = True, tools: tuple[str, ...] = ("ask",)) -> Verdict:
    reason = Finding.ANSWERING if ok else Finding.NOT_ANSWERING
    return Verdict(ok, False, reason, "It was asked.", ServerInfo("flame-mcp", "1", "2025-11-25", tools))


async def test_a_server_is_asked_once_it_has_pods_and_ready_when_it_answers() -> None:
    kube = with_server()
    operator = await running(kube)
    assert operator.verifier.wanted == {}
    with_pods(kube, operator)
    await operator.settle()
    target = operator.verifier.wanted[KEY]
    assert (target.url, target.host) == ("http://10.0.0.7:80", "docs.team.svc")
    assert conditions(kube)["Ready"] == ("False", "NotVerified")
    operator.verifier.verdicts[KEY] = verdict()
    kube.writes.clear()
    await operator.settle()
    assert kube.writes == ["status"]
    assert conditions(kube)["Ready"] == ("True", "Answering")
    assert kube.objects[SERVER.kind, KEY]["status"]["server"]["tools"] == ["ask"]
    assert [event.reason for event in operator.recorder.events] == ["Ready"]

    again = await running(kube)
    assert kube.writes == ["status"]
    assert again.verifier.known_good[KEY]

    with_pods(kube, operator, 0)
    await operator.settle()
    assert conditions(kube)["Ready"] == ("False", "PodsNotReady")
    assert operator.verifier.wanted == {}
    assert [event.reason for event in operator.recorder.events] == ["Ready", "PodsNotReady"]


async def test_a_change_of_tools_is_an_event() -> None:
    kube = with_server()
    operator = await running(kube)
    with_pods(kube, operator)
    for tools in (("ask",), ("ask", "browse")):
        operator.verifier.verdicts[KEY] = verdict(tools=tools)
        await operator.settle()
    assert [event.reason for event in operator.recorder.events] == ["Ready", "ToolsChanged"]


BEARER: dict[str, Any] = {"auth": {"type": "Bearer"}}


async def test_a_token_is_made_once() -> None:
    kube = with_server(**BEARER)
    await running(kube)
    first = kube.objects[SECRET.kind, KEY]["data"]["token"]
    assert kube.writes.count("apply Secret") == 1
    kube.writes.clear()
    operator = await running(kube)
    assert kube.writes == []
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={**BEARER, "search": {"maxTokens": 900}}))
    await operator.settle()
    assert kube.objects[SECRET.kind, KEY]["data"]["token"] == first


async def test_a_token_that_is_no_longer_wanted_goes_even_after_a_restart() -> None:
    """No list of Secrets tells of it: the Service does, and its mark goes last."""
    kube = with_server(**BEARER)
    await running(kube)
    kube.edit(SERVER.kind, KEY, spec={})
    kube.writes.clear()
    await running(kube)
    assert (SECRET.kind, KEY) not in kube.objects
    assert kube.writes.index("delete Secret") < kube.writes.index("apply Service")
    kube.writes.clear()
    kube.requests.clear()
    await running(kube)
    assert kube.writes == []
    assert "get Secret" not in kube.requests


def secret(name: str, **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "team"},
        "data": {key: b64encode(value.encode()).decode() for key, value in data.items()},
    }


MINE: dict[str, Any] = {
    "auth": {"type": "Bearer", "bearer": {"tokenSecretRef": {"name": "mine", "key": "t"}}}
}


async def test_pods_wait_for_the_secret_that_they_read() -> None:
    kube = with_server(**MINE)
    operator = await running(kube)
    assert (DEPLOYMENT.kind, KEY) not in kube.objects
    assert (SERVICE.kind, KEY) in kube.objects
    assert conditions(kube)["Stalled"] == ("True", "ReferenceMissing")
    kube.create(secret("mine", t="token-1"))
    again = await running(kube)
    assert (DEPLOYMENT.kind, KEY) in kube.objects
    assert conditions(kube)["Stalled"] == ("False", "UpToDate")
    del operator, again


def digest(kube: FakeKube, key: Key = KEY) -> str:
    template = kube.objects[DEPLOYMENT.kind, key]["spec"]["template"]
    found: str = template["metadata"]["annotations"]["flamemcp.dev/references-digest"]
    return found


async def test_a_changed_secret_rolls_pods_in_turns() -> None:
    other = Key("team", "other")
    kube = with_server(**MINE)
    kube.create(server("other", uid="uid-2", **MINE))
    kube.create(secret("mine", t="token-1"))
    operator = await running(kube)
    await operator.reconcile(other)
    before = digest(kube)
    kube.edit(SECRET.kind, Key("team", "mine"), data=secret("mine", t="token-2")["data"])
    operator = Operator(kube)
    await operator.start()
    await operator.reconcile(KEY)
    await operator.reconcile(other)
    assert digest(kube) != before
    assert digest(kube, other) == before
    assert conditions(kube, other)["Reconciling"] == ("True", "WaitingForTurn")
    with_pods(kube, operator)
    await operator.reconcile(KEY)
    assert operator.turns == [other]
    await operator.reconcile(other)
    assert digest(kube, other) == digest(kube) != before


async def test_optional_kinds_need_the_cluster_and_the_chart() -> None:
    kube = with_server(httpRoute={"parentRefs": [{"name": "gateway"}]})
    operator = await running(kube)
    assert conditions(kube)["Stalled"] == ("True", "FeatureDisabled")
    operator.defaults = Defaults(image="image:1", http_routes=True)
    await operator.settle()
    assert ("HTTPRoute", KEY) in kube.objects
    assert conditions(kube)["Stalled"] == ("False", "UpToDate")


async def test_an_issuer_over_http_needs_the_chart() -> None:
    issuer = "http://dex.auth.svc:5556/dex"
    kube = with_server(auth={"type": "OIDC", "oidc": {"issuer": issuer, "audience": "flame"}})
    operator = await running(kube)
    assert conditions(kube)["Stalled"] == ("True", "InvalidSpec")
    assert (DEPLOYMENT.kind, KEY) not in kube.objects
    operator.defaults = Defaults(image="image:1", http_issuers=True)
    await operator.settle()
    assert (DEPLOYMENT.kind, KEY) in kube.objects
    assert conditions(kube)["Stalled"] == ("False", "UpToDate")


async def test_pods_that_do_not_get_ready_are_asked_why() -> None:
    kube = with_server()
    operator = await running(kube)
    with_pods(kube, operator, 0)
    status = kube.objects[DEPLOYMENT.kind, KEY]["status"]
    operator.cache.put(
        kube.edit(DEPLOYMENT.kind, KEY, status={**status, "replicas": 2, "updatedReplicas": 2})
    )
    kube.create(
        {
            "kind": "Pod",
            "metadata": {
                "name": "docs-1",
                "namespace": "team",
                "labels": {
                    "app.kubernetes.io/name": "flame-mcp-server",
                    "app.kubernetes.io/instance": "docs",
                },
            },
            "status": {
                "containerStatuses": [{"image": "x:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]
            },
        }
    )
    assert await operator.settle() is not None
    assert "list Pod" not in kube.requests
    operator.now = "2026-01-01T00:01:00Z"
    await operator.settle()
    assert "image x:1 can't be pulled" in kube.objects[SERVER.kind, KEY]["status"]["conditions"][0]["message"]


def strategy(kube: FakeKube) -> str:
    found: str = kube.objects[DEPLOYMENT.kind, KEY]["spec"]["strategy"]["type"]
    return found


async def after_restart(kube: FakeKube, pods: int) -> Operator:
    """An operator that starts now, and reads all Secrets anew; so many pods are ready."""
    operator = await running(kube)
    with_pods(kube, operator, pods)
    operator.verifier.verdicts[KEY] = verdict()
    await operator.settle()
    return operator


async def test_a_token_that_is_gone_stops_the_pods_until_it_is_back() -> None:
    kube = with_server(**MINE)
    kube.create(secret("mine", t="token-1"))
    await after_restart(kube, 2)
    before = kube.objects[DEPLOYMENT.kind, KEY]["spec"]
    assert conditions(kube)["Ready"] == ("True", "Answering")

    kube.remove(SECRET.kind, Key("team", "mine"))
    operator = await after_restart(kube, 2)
    assert (strategy(kube), digest(kube)) == ("Recreate", "token-gone")
    assert kube.objects[DEPLOYMENT.kind, KEY]["spec"]["replicas"] == 2
    assert conditions(kube)["Stalled"] == ("True", "TokenGone")
    # It is said before the last pod has ended, and after.
    for pods in (2, 0):
        with_pods(kube, operator, pods)
        await operator.settle()
        assert conditions(kube)["Ready"] == ("False", "TokenGone")
    assert "TokenGone" in [event.reason for event in operator.recorder.events]
    kube.writes.clear()
    await after_restart(kube, 0)
    assert kube.writes == []

    kube.create(secret("mine", t="token-1"))
    await after_restart(kube, 2)
    assert kube.objects[DEPLOYMENT.kind, KEY]["spec"] == before
    assert conditions(kube)["Ready"] == ("True", "Answering")


async def test_a_key_without_a_value_is_gone_as_well() -> None:
    kube = with_server(**MINE)
    kube.create(secret("mine", t="token-1"))
    await after_restart(kube, 2)
    kube.edit(SECRET.kind, Key("team", "mine"), data={})
    await after_restart(kube, 2)
    assert strategy(kube) == "Recreate"


async def test_a_spec_that_names_a_secret_before_it_exists_takes_nothing_away() -> None:
    kube = with_server(**MINE)
    kube.create(secret("mine", t="token-1"))
    operator = await after_restart(kube, 2)
    other = {"auth": {"type": "Bearer", "bearer": {"tokenSecretRef": {"name": "other", "key": "t"}}}}
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec=other))
    await operator.settle()
    assert strategy(kube) == "RollingUpdate"
    assert conditions(kube)["Ready"] == ("True", "Answering")
    assert conditions(kube)["Stalled"] == ("True", "ReferenceMissing")


async def test_a_token_that_the_operator_may_not_read_is_not_gone() -> None:
    kube = with_server(**MINE)
    kube.create(secret("mine", t="token-1"))
    await after_restart(kube, 2)
    kube.fail["get Secret"] = Forbidden("no")
    await after_restart(kube, 2)
    assert strategy(kube) == "RollingUpdate"
    assert conditions(kube)["Ready"] == ("True", "Answering")


async def test_a_key_of_an_embedding_service_that_is_gone_stops_nothing() -> None:
    ref = {"apiKeySecretRef": {"name": "mine", "key": "t"}, "model": "m"}
    kube = with_server(embedding={"type": "OpenAI", "openAI": ref})
    kube.create(secret("mine", t="key-1"))
    await after_restart(kube, 2)
    kube.remove(SECRET.kind, Key("team", "mine"))
    kube.writes.clear()
    await after_restart(kube, 2)
    assert "apply Deployment" not in kube.writes
    assert conditions(kube)["Ready"] == ("True", "Answering")
    assert conditions(kube)["Stalled"] == ("True", "ReferenceMissing")


async def test_suspended_pods_are_not_stopped_and_that_is_said() -> None:
    kube = with_server(**MINE)
    kube.create(secret("mine", t="token-1"))
    operator = await after_restart(kube, 2)
    operator.cache.put(kube.edit(SERVER.kind, KEY, spec={**MINE, "suspend": True}))
    kube.remove(SECRET.kind, Key("team", "mine"))
    await after_restart(kube, 2)
    assert strategy(kube) == "RollingUpdate"
    assert conditions(kube)["Ready"] == ("False", "TokenGone")
    (ready, *_) = kube.objects[SERVER.kind, KEY]["status"]["conditions"]
    assert "delete the Deployment to stop them" in ready["message"]
