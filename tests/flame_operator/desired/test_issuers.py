"""OIDC issuers over plain HTTP: only where the installation allows it, and only in the cluster."""

from dataclasses import replace

import pytest

from flame_operator.desired.installation import with_defaults
from flame_operator.errors import InvalidSpec
from flame_operator.resource.server import Server
from tests.support.operator.children import DEFAULTS, children, parse

ALLOWED = replace(DEFAULTS, http_issuers=True)
INSIDE = "http://keycloak.auth.svc:8080/realms/flame"


def asking(issuer: str) -> Server:
    return parse(auth={"type": "OIDC", "oidc": {"issuer": issuer, "audience": "flame"}})


@pytest.mark.parametrize(
    "issuer",
    [INSIDE, "http://dex.auth.svc", "http://dex.auth.svc.cluster.local/dex", "https://login.example.com"],
)
def test_issuers_that_may_be_asked(issuer: str) -> None:
    assert with_defaults(asking(issuer), ALLOWED) == asking(issuer)


@pytest.mark.parametrize(
    "issuer",
    [
        "http://login.example.com",
        "http://dex.auth",
        "http://dex.auth.svc.example.com",
        "http://cluster.local",
    ],
)
def test_issuers_that_need_tls(issuer: str) -> None:
    with pytest.raises(InvalidSpec, match="no Service of this cluster"):
        with_defaults(asking(issuer), ALLOWED)


def test_the_switch_is_off_by_default_and_named() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.auth\.oidc\.issuer: .* httpIssuers\.enabled"):
        with_defaults(asking(INSIDE), DEFAULTS)


def test_an_issuer_that_is_not_asked_needs_no_word() -> None:
    unused = parse(auth={"type": "Bearer", "oidc": {"issuer": INSIDE, "audience": "flame"}})
    assert with_defaults(unused, DEFAULTS) == unused


def test_pods_are_told_and_let_out_at_any_port() -> None:
    wanted = children(auth={"type": "OIDC", "oidc": {"issuer": INSIDE, "audience": "flame"}})
    assert wanted["ConfigMap"]["data"]["FLAME_MCP_AUTH_OIDC_ALLOW_HTTP"] == "true"
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "auth"}}
    assert {"to": [{"namespaceSelector": namespace}]} in wanted["NetworkPolicy"]["spec"]["egress"]
