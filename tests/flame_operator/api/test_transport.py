import pytest

from flame_operator.api.calls import Answer, Call, verb_and_resource
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


@pytest.mark.parametrize(
    ("status", "message", "final"),
    [
        (200, "", True),
        (404, "not found", True),
        (429, "slow down", False),
        (500, "etcd is away", False),
        (500, ".status.operator: field not declared in schema", True),
        (503, "", False),
    ],
)
def test_answers_that_would_be_the_same_again_are_final(status: int, message: str, final: bool) -> None:
    assert Answer(status, {"message": message}, None).is_final == final
