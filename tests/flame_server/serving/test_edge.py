"""Hosts, origins, sizes and rates: what every request passes before MCP sees it."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from flame_server.serving.edge.limits import MAX_BODY_BYTES, RequestLimits
from flame_server.serving.edge.rates import MAX_CLIENTS, RateLimiter, peer_of
from flame_server.serving.metrics import Metrics
from tests.support.server.asgi import Clock, count, echo, edge, fetch

EVERYWHERE = "0.0.0.0"  # noqa: S104
NAMED = "docs.example.com,*.apps.example.com"


@pytest.mark.parametrize(
    "host",
    [
        "docs.example.com",
        "docs.example.com.",
        "DOCS.example.com:443",
        "a.apps.example.com",
        "a.b.apps.example.com.",
        "localhost:1",
        "127.0.0.1:8000",
        "127.8.8.8",
        "[::1]:8000",
        "10.0.0.5:8000",
        "[2001:db8::1]",
    ],
)
async def test_named_hosts_loopback_and_addresses_pass(host: str) -> None:
    response = await fetch(edge(host=EVERYWHERE, allowed_hosts=NAMED), headers={"Host": host})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "apps.example.com",
        "xapps.example.com",
        "docs.example.com.evil.org",
        "10.0.0.5.evil.org:8000",
        "docs.example.com@evil.org",
        "evil.org/docs.example.com",
        "",
        "[::1",
        "localhost:x",
        'a"b',
        "[1:2]",
    ],
)
async def test_other_hosts_are_refused_in_json(host: str) -> None:
    metrics = Metrics()
    app = edge(metrics, host=EVERYWHERE, allowed_hosts=NAMED)
    response = await fetch(app, headers={"Host": host})
    assert response.status_code == 403
    assert response.json()["error"] == "forbidden_host"
    assert "FLAME_MCP_ALLOWED_HOSTS" in response.json()["error_description"]
    assert count(metrics, "refused_requests_total", reason="host") == 1


async def test_two_hosts_are_refused() -> None:
    headers = [("Host", "localhost"), ("Host", "docs.example.com")]
    assert (await fetch(edge(allowed_hosts=NAMED), headers=headers)).status_code == 403


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_probes_by_any_host_pass(path: str) -> None:
    response = await fetch(edge(allowed_hosts=NAMED), "GET", path, headers={"Host": "pod.internal:8000"})
    assert response.status_code == 200


@pytest.mark.parametrize("path", ["/health/../mcp", "/healthz", "/health/ready/", "//health", "/"])
async def test_only_probes_are_excepted(path: str) -> None:
    response = await fetch(edge(allowed_hosts=NAMED), "GET", path, headers={"Host": "pod.internal:8000"})
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://docs.example.com", 200),
        ("https://docs.example.com:8443", 200),
        ("http://localhost:6274", 200),
        ("https://evil.example.com", 403),
        ("null", 403),
        ("", 403),
        ("file://localhost", 403),
        ("https://localhost.evil.org", 403),
        ("https://evil.org/localhost", 403),
    ],
)
async def test_pages_of_other_origins_are_refused(origin: str, status: int) -> None:
    response = await fetch(edge(allowed_hosts=NAMED), headers={"Origin": origin})
    assert response.status_code == status


@pytest.mark.parametrize(
    ("bound_to", "headers", "status"),
    [
        ("127.0.0.1", {"Host": "evil.org"}, 403),
        (EVERYWHERE, {"Host": "docs.internal"}, 200),
        # What a rebound name looks like: both headers agree.
        (EVERYWHERE, {"Host": "evil.org", "Origin": "http://evil.org"}, 403),
        (EVERYWHERE, {"Host": ""}, 403),
        # This server's own page, opened by address; and one that another server at that address gave.
        (EVERYWHERE, {"Host": "10.0.0.5:8000", "Origin": "http://10.0.0.5:8000"}, 200),
        (EVERYWHERE, {"Host": "[2001:db8::1]", "Origin": "https://[2001:db8::1]"}, 200),
        (EVERYWHERE, {"Host": "10.0.0.5:8000", "Origin": "http://10.0.0.5:9000"}, 403),
        (EVERYWHERE, {"Host": "10.0.0.5:8000", "Origin": "http://10.0.0.6:8000"}, 403),
    ],
)
async def test_without_names_only_what_cannot_be_a_rebound_page_passes(
    bound_to: str, headers: dict[str, str], status: int
) -> None:
    assert (await fetch(edge(host=bound_to), headers=headers)).status_code == status


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)])
async def test_bodies_are_bounded(size: int, status: int) -> None:
    metrics = Metrics()
    content = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'.ljust(size)
    response = await fetch(edge(metrics), content=content)
    assert response.status_code == status
    assert response.json().get("bytes", size) == size
    assert count(metrics, "refused_requests_total", reason="body") == (status == 413)


async def drive(app: RequestLimits, messages: list[Message], headers: list[tuple[bytes, bytes]]) -> list[int]:
    """The statuses that an application sends when its client sends these messages and then nothing more."""
    statuses: list[int] = []
    waiting = iter(messages)

    async def receive() -> Message:
        for message in waiting:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app({"type": "http", "path": "/mcp", "method": "POST", "headers": headers}, receive, send)
    return statuses


async def never(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive, send
    raise AssertionError("the request went on")


async def test_a_body_without_a_declared_length_is_bounded_too() -> None:
    part = {"type": "http.request", "body": b"x" * 40_000, "more_body": True}
    assert await drive(RequestLimits(never, Metrics()), [part, part], []) == [413]


async def test_a_declared_length_is_refused_before_a_byte_is_read() -> None:
    assert await drive(RequestLimits(never, Metrics()), [], [(b"content-length", b"65537")]) == [413]


async def test_a_body_in_parts_arrives_whole() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"c", "more_body": False},
    ]
    assert await drive(RequestLimits(echo, Metrics()), parts, []) == [200]


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    part = {"type": "http.request", "body": b"{", "more_body": True}
    assert await drive(RequestLimits(never, Metrics(), body_seconds=0.01), [part], []) == [408]


async def test_a_client_that_leaves_gets_nothing() -> None:
    assert await drive(RequestLimits(never, Metrics()), [{"type": "http.disconnect"}], []) == []


@pytest.mark.parametrize(
    "headers", [{"X-Long": "x" * 17_000}, {f"X-{number}": "x" for number in range(101)}], ids=["long", "many"]
)
async def test_headers_are_bounded(headers: dict[str, str]) -> None:
    response = await fetch(edge(), headers=headers)
    assert response.status_code == 431
    assert response.json()["error"] == "headers_too_large"


async def test_the_rate_limit_answers_with_when_to_come_back() -> None:
    metrics = Metrics()
    app = edge(metrics, rate_limit_per_minute=6, rate_limit_burst=2)
    assert [(await fetch(app)).status_code for _ in range(3)] == [200, 200, 429]
    response = await fetch(app)
    assert response.headers["Retry-After"] == "10"
    assert response.json()["error"] == "too_many_requests"
    assert (await fetch(app, peer="10.0.0.2")).status_code == 200
    assert (await fetch(app, "GET", "/health")).status_code == 200
    assert count(metrics, "refused_requests_total", reason="rate") == 2


def test_a_bucket_fills_again() -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute=60, burst=2, clock=clock)
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 1]
    clock.now += 0.5
    assert limiter.take("a") == 0.5
    clock.now += 0.5
    assert [limiter.take("a"), limiter.take("a")] == [0, 1]
    clock.now += 3_600
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 1]


def test_many_clients_take_bounded_memory_and_the_busy_ones_are_kept() -> None:
    limiter = RateLimiter(per_minute=1, burst=1, clock=Clock())
    for number in range(2 * MAX_CLIENTS):
        limiter.take(f"client {number}")
        limiter.take("busy")
    assert len(limiter._buckets) == MAX_CLIENTS
    assert limiter.take("busy") > 0
    assert limiter.take("client 0") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
    ],
)
def test_who_counts_as_one_client(one: str, other: str, *, same: bool) -> None:
    assert (peer_of((one, 1)) == peer_of((other, 2))) is same


def test_a_client_without_an_address_has_a_bucket_too() -> None:
    assert peer_of(None) == peer_of(("testclient", 1)) == "peer:unknown"


async def test_each_response_carries_its_requests_id() -> None:
    assert (await fetch(edge(), headers={"X-Request-ID": "abc-1"})).headers["X-Request-ID"] == "abc-1"
    forged = (await fetch(edge(), headers={"X-Request-ID": 'x" evil'})).headers["X-Request-ID"]
    assert len(forged) == 16
    refused = await fetch(edge(), headers={"Host": "evil.org"})
    assert refused.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the body is not JSON in UTF-8"),
        (b"{", "the body is not JSON in UTF-8"),
        (b"\xff", "the body is not JSON in UTF-8"),
        (b"[" * 60_000, "the body is not JSON in UTF-8"),
        (b"null", "the body is not a JSON object"),
        (b"[]", "batches are not supported"),
        (b"{}", 'a request has "jsonrpc": "2.0" and a method'),
        (b'{"jsonrpc": "2.0", "method": 1}', "and a method"),
        (b'{"jsonrpc": "2.0", "method": "ping", "params": []}', "params must be an object"),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": null}', "id must be a string or an integer"),
        (b'{"jsonrpc": "2.0", "method": "ping", "id": true}', "id must be a string or an integer"),
        (b'{"jsonrpc": "2.0", "method": "p", "params": {"a": "\\ud800"}}', "broken Unicode"),
        (
            b'{"jsonrpc": "2.0", "method": "p", "params": {"a": ' + b"[" * 80 + b"]" * 80 + b"}}",
            "nests deeper",
        ),
    ],
)
async def test_what_is_no_request_is_refused_in_plain_words(content: bytes, message: str) -> None:
    metrics = Metrics()
    response = await fetch(edge(metrics), content=content)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]
    assert count(metrics, "refused_requests_total", reason="message") == 1
