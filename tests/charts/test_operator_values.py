"""What the operator's chart takes as values: a wrong one is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.charts.helm_cli import OPERATOR_CHART as CHART
from tests.support.charts.helm_cli import template

DIGEST = "sha256:" + "0" * 64
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

REFUSED: list[tuple[dict[str, Any], str]] = [
    # By the schema: the message names the value.
    ({"image": {"digest": "latest"}}, "image/digest"),
    ({"image": {"registry": "example.com"}}, "registry"),
    ({"watchNamespaces": ["UPPER"]}, "watchNamespaces/0"),
    ({"namespaceSelector": {"matchLabels": {"team": "two words"}}}, "namespaceSelector/matchLabels/team"),
    ({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "matchExpressions/0"),
    (
        {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
        "matchExpressions/0/values",
    ),
    ({"excludeNamespaces": ["UPPER"]}, "excludeNamespaces/0"),
    ({"operatorClass": "Blue"}, "operatorClass"),
    ({"identity": "two words"}, "identity"),
    ({"log": {"level": "loud"}}, "log/level"),
    ({"resyncSeconds": 1}, "resyncSeconds"),
    ({"replicaCount": 3}, "replicaCount"),
    ({"replicas": 11}, "replicas"),
    ({"metricsPort": 8080}, "metricsPort"),
    ({"eventsPerSecond": 0}, "eventsPerSecond"),
    ({"rolloutParallelism": 0}, "rolloutParallelism"),
    ({"clusterDomain": "Cluster.local"}, "clusterDomain"),
    ({"httpIssuers": {"enabled": "perhaps"}}, "httpIssuers/enabled"),
    ({"httpRoutes": {"enabled": "perhaps"}}, "httpRoutes/enabled"),
    ({"crds": {"enabled": "perhaps"}}, "crds/enabled"),
    ({"rbac": {"aggregated": True}}, "aggregated"),
    ({"commonLabels": {"team": "two words"}}, "commonLabels/team"),
    ({"server": {"imagePullSecrets": ["registry"]}}, "server/imagePullSecrets/0"),
    ({"server": {"egress": {"proxy": {"https": "proxy:3128"}}}}, "server/egress/proxy/https"),
    ({"server": {"egress": {"proxy": {"noProxy": ["*"]}}}}, "server/egress/proxy/noProxy/0"),
    ({"server": {"egress": {"caBundleConfigMapRef": {"name": "CA"}}}}, "caBundleConfigMapRef/name"),
    ({"server": {"labels": {"team": "two words"}}}, "server/labels/team"),
    ({"server": {"annotations": {"a": "ü"}}}, "server/annotations/a"),
    ({"server": {"podLabels": {"team": "two words"}}}, "server/podLabels/team"),
    ({"server": {"podAnnotations": {"a": "ü"}}}, "server/podAnnotations/a"),
    ({"imagePullSecrets": [{"name": "Registry"}]}, "imagePullSecrets/0/name"),
    ({"networkPolicy": {"apiServer": {"ports": []}}}, "networkPolicy/apiServer/ports"),
    ({"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1"]}}}, "networkPolicy/apiServer/cidrs/0"),
    ({"dnsPorts": []}, "dnsPorts"),
    ({"dnsPorts": ["dns"]}, "dnsPorts/0"),
    ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "podDisruptionBudget/maxUnavailable"),
    ({"extraEnv": [{"value": "nameless"}]}, "extraEnv/0"),
    ({"serviceMonitor": {"interval": "often"}}, "serviceMonitor/interval"),
    ({"prometheusRule": {"selector": '{job="x"}'}}, "prometheusRule/selector"),
    ({"prometheusRule": {"runbookBaseURL": "docs/"}}, "prometheusRule/runbookBaseURL"),
    ({"grafanaDashboard": {"labels": {"grafana_dashboard": 1}}}, "grafanaDashboard/labels"),
    ({"guardrails": {"validationActions": ["deny"]}}, "guardrails/validationActions/0"),
    ({"guardrails": {"allowedImagePrefixes": ["registry.example.com"]}}, "guardrails/allowedImagePrefixes/0"),
    ({"guardrails": {"maxReplicas": 0}}, "guardrails/maxReplicas"),
    ({"guardrails": {"maxStorageSize": "plenty"}}, "guardrails/maxStorageSize"),
    ({"guardrails": {"hosts": {"allowed": ["*.example.com"]}}}, "guardrails/hosts/allowed/0"),
    ({"guardrails": {"hosts": {"annotations": ["*"]}}}, "guardrails/hosts/annotations/0"),
    ({"guardrails": {"serviceTypes": {"allowed": []}}}, "guardrails/serviceTypes/allowed"),
    ({"guardrails": {"serviceTypes": {"allowed": ["ExternalName"]}}}, "guardrails/serviceTypes/allowed/0"),
    ({"guardrails": {"gateways": {"allowed": ["public"]}}}, "guardrails/gateways/allowed/0"),
    ({"guardrails": {"gateways": {"allowed": ["*/public"]}}}, "guardrails/gateways/allowed/0"),
    ({"guardrails": {"serviceMonitors": {"allowed": ["release"]}}}, "guardrails/serviceMonitors/allowed/0"),
    ({"guardrails": {"priorityClasses": {"allowed": ["Low"]}}}, "guardrails/priorityClasses/allowed/0"),
    ({"guardrails": {"tolerations": {"allowed": ["*"]}}}, "guardrails/tolerations/allowed/0"),
    ({"guardrails": {"affinity": {"allowed": ["*"]}}}, "guardrails/affinity/allowed/0"),
    ({"guardrails": {"podTemplate": {"allowed": ["*"]}}}, "guardrails/podTemplate/allowed/0"),
    ({"servers": {"Docs": {}}}, "Docs"),
    ({"servers": {"a" * 41: {}}}, "a" * 41),
    ({"servers": {"docs": {"replicas": 2}}}, "servers/docs"),
    ({"helmTest": {"waitSeconds": 0}}, "helmTest/waitSeconds"),
    ({"keepServers": "yes"}, "keepServers"),
    # By the chart: values that are wrong together.
    ({"watchNamespaces": ["a"], "excludeNamespaces": ["b"]}, "leave them out of watchNamespaces instead"),
    (
        {"watchNamespaces": ["a"], "namespaceSelector": {"matchLabels": {"a": "b"}}},
        "namespaceSelector is for an operator that may see all namespaces",
    ),
    ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
    (
        {"commonLabels": {"app.kubernetes.io/name": "mine"}},
        "commonLabels must not set app.kubernetes.io/name",
    ),
    ({"podLabels": {"app.kubernetes.io/instance": "mine"}}, "podLabels must not set app.kubernetes.io/inst"),
    (
        {"server": {"labels": {"app.kubernetes.io/name": "mine"}}},
        "server.labels must not set app.kubernetes.io/name",
    ),
    (
        {"server": {"annotations": {"flamemcp.dev/task": "mine"}}},
        "server.annotations must not set flamemcp.dev/task",
    ),
    (
        {"server": {"podLabels": {"app.kubernetes.io/name": "mine"}}},
        "server.podLabels must not set app.kubernetes.io/name",
    ),
    (
        {"server": {"podAnnotations": {"flamemcp.dev/config-hash": "0"}}},
        "server.podAnnotations must not set flamemcp.dev/config-hash",
    ),
    (
        {"extraEnv": [{"name": "FLAME_OPERATOR_LOG_LEVEL", "value": "debug"}]},
        "extraEnv must not set FLAME_OPERATOR_LOG_LEVEL",
    ),
    (
        {"podDisruptionBudget": {"minAvailable": 2}},
        "no node be drained: with replicas=2, set minAvailable lower",
    ),
    ({"podDisruptionBudget": {"minAvailable": "100%"}}, "podDisruptionBudget lets no node be drained"),
    ({"podDisruptionBudget": {"maxUnavailable": 0}}, "or maxUnavailable to 1 or more"),
    ({"metricsPort": 0, "serviceMonitor": {"enabled": True}}, "serviceMonitor.enabled needs metrics to read"),
    ({"metricsPort": 0, "prometheusRule": {"enabled": True}}, "prometheusRule.enabled needs metrics to read"),
    (
        {"serviceMonitor": {"enabled": True}, "metrics": {"service": {"enabled": False}}},
        "set metrics.service.enabled=true",
    ),
    ({"guardrails": {"validationActions": ["Deny", "Warn"]}}, "can't be both Deny and Warn"),
    ({"guardrails": {"enabled": True}}, "guardrails.enabled without any bound bounds nothing"),
    (
        {"watchNamespaces": ["a"], "guardrails": {"exemptNamespaces": ["b"]}},
        "guardrails.exemptNamespaces names b, which is not one of watchNamespaces",
    ),
    (
        {"watchNamespaces": ["a", "c"], "servers": {"docs": {"namespace": "b"}}},
        "servers.docs is in namespace b, which the operator doesn't watch; add it to watchNamespaces, or",
    ),
    (
        {"servers": {"docs": {"labels": {"app.kubernetes.io/managed-by": "me"}}}},
        "servers.docs.labels must not set app.kubernetes.io/managed-by",
    ),
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_wrong_value_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    done = template(CHART, values)
    assert done.returncode != 0
    assert message in done.stderr.replace("'/", "'").replace("'.", "'"), done.stderr
