import pytest

from flame_operator.api.calls import Call, verb_and_resource
from flame_operator.resource.kinds import DEPLOYMENT, HTTP_ROUTE, LEASE, SECRET, SERVER


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", SERVER.path(), ("list", "flamemcpservers")),
        ("GET", SERVER.path("team"), ("list", "flamemcpservers")),
        ("PATCH", SERVER.path("team", "docs") + "/status", ("patch", "flamemcpservers/status")),
        ("GET", SECRET.path("namespaces", "secrets"), ("get", "secrets")),
        ("DELETE", DEPLOYMENT.path("team", "docs"), ("delete", "deployments")),
        ("POST", LEASE.path("team"), ("create", "leases")),
        ("PUT", LEASE.path("team", "lease"), ("update", "leases")),
        ("GET", HTTP_ROUTE.path(), ("list", "httproutes")),
        ("GET", "/api/v1/namespaces", ("list", "namespaces")),
        ("GET", "/apis/gateway.networking.k8s.io/v1", ("get", "discovery")),
        ("GET", "/apis", ("get", "discovery")),
    ],
)
def test_requests_are_counted_by_what_and_never_by_a_name(
    method: str, path: str, expected: tuple[str, str]
) -> None:
    assert verb_and_resource(Call(method, path)) == expected
