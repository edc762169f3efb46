"""Ways out: the proxy and the certificates of a spec, of `env`, and of the installation."""

from dataclasses import replace
from typing import Any

import pytest

from flame_operator.defaults import defaults_of
from flame_operator.desired.children import desired_children
from flame_operator.desired.ingestion_job import job
from flame_operator.desired.installation import with_defaults
from flame_operator.desired.references import references
from flame_operator.desired.run import Run, Task
from flame_operator.resource.server import Server
from flame_operator.settings import Settings
from tests.support.operator.children import DEFAULTS, facts, parse

PROXY = "http://proxy.example.com:3128"
DIRECT = "localhost,127.0.0.1,::1,.svc,.cluster.local"
BUNDLE = {"name": "company-ca", "key": "ca.crt"}
INGESTION = {
    "vectorStore": {"type": "Managed", "managed": {"snapshots": {"schedule": "@daily"}}},
    "ingestion": {"sources": [{"name": "docs", "git": {"url": "https://git.example/docs"}}]},
}


def pods(one: Server) -> dict[str, dict[str, Any]]:
    """The specs of the server's pods, and of those of each kind of Job."""
    wanted = {child["kind"]: child for child in desired_children(one, DEFAULTS, facts(one))}
    tasks: tuple[Task, ...] = ("ingest", "snapshot", "rollback")
    found = {task: job(one, DEFAULTS, Run(task, "", "")) for task in tasks} | {"server": wanted["Deployment"]}
    return {name: manifest["spec"]["template"]["spec"] for name, manifest in found.items()}


def containers(one: Server) -> dict[str, dict[str, str]]:
    """The environment of every container."""
    return {
        container["name"]: {entry["name"]: entry["value"] for entry in container.get("env", [])}
        for pod in pods(one).values()
        for container in (*pod.get("initContainers", []), *pod["containers"])
    }


def test_the_proxy_reaches_the_server_and_every_step_of_every_job() -> None:
    one = parse(egress={"proxy": {"http": PROXY, "https": PROXY, "noProxy": [".corp.example"]}}, **INGESTION)
    found = containers(one)
    assert found.keys() == {"server", "fetch", "build", "publish", "snapshot", "rollback"}
    for name, variables in found.items():
        assert variables.get("HTTP_PROXY") == variables.get("HTTPS_PROXY") == PROXY, name
        assert variables["NO_PROXY"] == f"{DIRECT},.corp.example", name


def test_of_env_jobs_get_what_says_how_to_get_out_and_no_more() -> None:
    env = [("https_proxy", PROXY), ("No_Proxy", "a"), ("SSL_CERT_FILE", "/own.pem"), ("TZ", "Europe/Berlin")]
    one = parse(env=[{"name": name, "value": value} for name, value in env], **INGESTION)
    for name, variables in containers(one).items():
        expected = dict(env if name == "server" else env[:-1])
        assert {key: variables.get(key) for key in expected} == expected, name
        assert ("TZ" in variables) == (name == "server")


def test_env_wins_over_the_proxy() -> None:
    one = parse(
        egress={"proxy": {"http": PROXY, "https": PROXY}},
        env=[{"name": "https_proxy", "value": "http://own:1"}],
    )
    assert containers(one)["server"] == {
        "https_proxy": "http://own:1",
        "HTTP_PROXY": PROXY,
        "NO_PROXY": DIRECT,
    }


def test_services_of_the_own_namespace_are_reached_without_the_proxy() -> None:
    one = parse(
        egress={"proxy": {"https": PROXY}},
        vectorStore={"type": "External", "external": {"url": "http://qdrant:6333"}},
        observability={"tracing": {"endpoint": "http://[fd00::1]:4318"}},
    )
    assert containers(one)["server"]["NO_PROXY"] == f"{DIRECT},qdrant"


@pytest.mark.parametrize(
    ("spec", "opened"),
    [
        ({"egress": {"proxy": {"https": "http://10.1.2.3:3128"}}}, [3128]),
        ({"env": [{"name": "https_proxy", "value": "http://user:pass@10.1.2.3:3128/"}]}, [3128]),
        ({"egress": {"proxy": {"http": "http://10.1.2.3:3128/path"}}}, [3128]),
        ({"env": [{"name": "HTTP_PROXY", "value": "10.1.2.3:3128"}]}, []),
        ({"env": [{"name": "NO_PROXY", "value": "http://10.1.2.3:3128"}]}, []),
    ],
)
def test_policies_let_pods_out_to_the_proxy(spec: dict[str, Any], opened: list[int]) -> None:
    one = parse(**spec, **INGESTION)
    for child in desired_children(one, DEFAULTS, facts(one)):
        if child["kind"] == "NetworkPolicy" and not child["metadata"]["name"].endswith("-qdrant"):
            rules = [
                rule["ports"][0]["port"]
                for rule in child["spec"]["egress"]
                if rule.get("to") == [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
            ]
            assert rules == opened, child["metadata"]["name"]


@pytest.mark.parametrize("proxy", ["http://[fd00::5]:3128", "http://user:pass@[FD00:0::5]:3128/"])
def test_policies_let_pods_out_to_a_proxy_with_an_ipv6_address(proxy: str) -> None:
    policies = [
        child
        for child in desired_children(parse(env=[{"name": "HTTPS_PROXY", "value": proxy}]), DEFAULTS)
        if child["kind"] == "NetworkPolicy"
    ]
    rule = {"to": [{"ipBlock": {"cidr": "fd00::5/128"}}], "ports": [{"protocol": "TCP", "port": 3128}]}
    assert [rule in policy["spec"]["egress"] for policy in policies] == [True]


def test_certificates_are_mounted_and_named_wherever_something_connects() -> None:
    one = parse(egress={"caBundleConfigMapRef": BUNDLE}, **INGESTION)
    for name, pod in pods(one).items():
        for container in (*pod.get("initContainers", []), *pod["containers"]):
            assert "/etc/flame-mcp/ca" in [mount["mountPath"] for mount in container["volumeMounts"]], name
    for name, variables in containers(one).items():
        # The server's settings are in its ConfigMap, which another test compares with the mounts.
        assert (variables.get("FLAME_MCP_CA_FILE") == "/etc/flame-mcp/ca/ca.crt") == (name != "server")
    (reference,) = (one for one in references(one) if one.name == "company-ca")
    assert (reference.key, reference.field, reference.rolls) == (
        "ca.crt",
        "spec.egress.caBundleConfigMapRef",
        True,
    )


def test_the_certificates_of_a_git_source_are_waited_for() -> None:
    git = {"url": "https://git.example/docs", "caBundleConfigMapRef": BUNDLE}
    one = parse(vectorStore={"type": "Managed"}, ingestion={"sources": [{"name": "docs", "git": git}]})
    (reference,) = (one for one in references(one) if one.name == "company-ca")
    assert (reference.field, reference.rolls) == (
        "spec.ingestion.sources[0].git.caBundleConfigMapRef",
        False,
    )


def test_what_the_installation_has_holds_where_the_spec_says_nothing() -> None:
    settings = Settings(
        http_proxy=PROXY, https_proxy=PROXY, no_proxy=("a", ".b"), ca_bundle_config_map="ca", dns_ports=(53,)
    )
    defaults = replace(DEFAULTS, egress=defaults_of(settings).egress)
    plain = with_defaults(parse(), defaults)
    assert containers(plain)["server"] == {
        "HTTP_PROXY": PROXY,
        "HTTPS_PROXY": PROXY,
        "NO_PROXY": f"{DIRECT},a,.b",
    }
    assert [(one.name, one.key) for one in references(plain)] == [("ca", "ca.crt")]
    own = with_defaults(
        parse(egress={"proxy": {"http": "http://own:1"}, "caBundleConfigMapRef": BUNDLE}), defaults
    )
    assert containers(own)["server"] == {"HTTP_PROXY": "http://own:1", "NO_PROXY": DIRECT}
    assert [one.name for one in references(own)] == ["company-ca"]
    without = with_defaults(parse(egress={"proxy": {}}), defaults)
    assert containers(without)["server"] == {}
    assert with_defaults(parse(), DEFAULTS) == parse()
