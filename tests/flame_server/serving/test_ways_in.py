"""Behind proxies: path prefixes, slashes at the end, client addresses, schemes, pages of other origins."""

import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flame_server.credentials import Credentials
from flame_server.serving.edge.replies import PREFIX
from flame_server.serving.listeners.paths import Paths
from flame_server.serving.listeners.proxies import ProxyHeaders
from tests.support.server.asgi import edge, fetch
from tests.support.server.server_process import FLAME_MCP, ready, running

WELL_KNOWN = "/.well-known/oauth-protected-resource"
FOREIGN = "https://assistant.example.org"
PROXY = "10.0.0.9"
OIDC: dict[str, Any] = {
    "auth_type": "OIDC",
    "auth_oidc_issuer": "https://issuer.example.com",
    "auth_oidc_audience": "flame",
}
EVERYWHERE = "0.0.0.0"  # noqa: S104


async def seen(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what arrives."""
    client = scope["client"][0]
    found = {
        "path": scope["path"],
        "prefix": scope.get(PREFIX, ""),
        "client": client,
        "scheme": scope["scheme"],
    }
    await JSONResponse(found)(scope, receive, send)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("", "/mcp/", ("/mcp", "")),
        ("", "/mcp", ("/mcp", "")),
        ("", "/page.css", ("/page.css", "")),
        ("/flame", "/mcp/", ("/mcp", "")),
        ("/flame", "/flame/mcp", ("/mcp", "/flame")),
        ("/flame", "/flame/mcp/", ("/mcp", "/flame")),
        ("/flame", "/flame/", ("/", "/flame")),
        ("/flame", "/flame/page.js", ("/page.js", "/flame")),
        ("/flame", "/flame/health/ready", ("/health/ready", "/flame")),
        ("/flame", "/flames/mcp", ("/flames/mcp", "")),
        ("/flame", f"{WELL_KNOWN}/flame/mcp", (f"{WELL_KNOWN}/mcp", "/flame")),
        ("/flame", f"{WELL_KNOWN}/flame", (WELL_KNOWN, "/flame")),
        ("/flame", f"{WELL_KNOWN}/mcp", (f"{WELL_KNOWN}/mcp", "")),
        ("/health", "/health/ready", ("/health/ready", "")),
        ("/health", "/health/mcp", ("/mcp", "/health")),
    ],
)
async def test_every_method_is_led_to_the_servers_own_paths(
    method: str, prefix: str, path: str, expected: tuple[str, str]
) -> None:
    response = await fetch(Paths(seen, prefix), method, path)
    assert response.status_code == 200
    assert (response.json()["path"], response.json()["prefix"]) == expected


@pytest.mark.parametrize("prefix", ["/flame", "/docs/flame"])
async def test_the_page_moves_to_where_its_links_are_right_without_naming_a_scheme(prefix: str) -> None:
    response = await fetch(Paths(seen, prefix), "GET", prefix)
    assert (response.status_code, response.headers["Location"]) == (307, "flame/")


@pytest.mark.parametrize("prefix", ["", "/flame"])
async def test_metadata_names_the_address_that_the_client_used(prefix: str) -> None:
    app = ProxyHeaders(Paths(edge(host=EVERYWHERE, **OIDC), "/flame"), ["private"])
    headers = {"X-Forwarded-Proto": "https"}
    refused = await fetch(app, "POST", f"{prefix}/mcp/", headers=headers, base="http://docs.example.com")
    address = f"https://docs.example.com{WELL_KNOWN}{prefix}/mcp"
    assert f'resource_metadata="{address}"' in refused.headers["WWW-Authenticate"]
    found = await fetch(
        app, "GET", f"{WELL_KNOWN}{prefix}/mcp", headers=headers, base="http://docs.example.com"
    )
    assert found.json()["resource"] == f"https://docs.example.com{prefix}/mcp"


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "client"),
    [
        (["10.0.0.0/8"], PROXY, "198.51.100.7", "198.51.100.7"),
        (["10.0.0.0/8"], PROXY, "203.0.113.1, 198.51.100.7, 10.0.0.8", "198.51.100.7"),
        (["10.0.0.0/8"], PROXY, "2001:db8::7", "2001:db8::7"),
        # Whoever isn't trusted is believed nothing.
        (["10.0.0.0/8"], "198.51.100.9", "203.0.113.1", "198.51.100.9"),
        (["10.0.0.8"], PROXY, "203.0.113.1", PROXY),
        (["private"], PROXY, "198.51.100.7", "198.51.100.7"),
        (["private"], "fd00::9", "198.51.100.7", "198.51.100.7"),
        (["private"], "::ffff:10.0.0.9", "198.51.100.7", "198.51.100.7"),
        # The proxy saw a node's address: what stands before it, the client may have written itself.
        (["private"], PROXY, "203.0.113.1, 10.0.0.8", "10.0.0.8"),
        (["private"], "198.51.100.9", "203.0.113.1", "198.51.100.9"),
        (["private"], PROXY, "", PROXY),
    ],
)
async def test_the_client_is_who_a_trusted_proxy_saw(
    trusted: list[str], peer: str, forwarded: str, client: str
) -> None:
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
    found = (await fetch(ProxyHeaders(seen, trusted), headers=headers, peer=peer)).json()
    assert found["client"] == client
    believed = peer != client or not forwarded
    assert found["scheme"] == ("https" if believed else "http")


async def test_a_second_header_of_the_client_is_not_believed() -> None:
    headers = [("X-Forwarded-For", "203.0.113.1"), ("X-Forwarded-For", "198.51.100.7")]
    for trusted in (["private"], ["10.0.0.0/8"]):
        app = ProxyHeaders(seen, trusted)
        assert (await fetch(app, headers=headers, peer=PROXY)).json()["client"] == "198.51.100.7"


@pytest.mark.parametrize("trusted", [["private"], ["10.0.0.0/8"]])
async def test_clients_behind_a_proxy_have_limits_of_their_own(trusted: list[str]) -> None:
    app = ProxyHeaders(edge(rate_limit_per_minute=1, rate_limit_burst=1), trusted)

    async def ask(forwarded: str) -> int:
        return (await fetch(app, headers={"X-Forwarded-For": forwarded}, peer=PROXY)).status_code

    assert [await ask("198.51.100.7"), await ask("198.51.100.8")] == [200, 200]
    # Another address in front, which the client wrote, gives it no new limit.
    assert await ask("203.0.113.99, 198.51.100.7") == 429


def asked(origin: str, **headers: str) -> dict[str, Any]:
    return {"headers": {"Origin": origin, **headers}}


PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.mark.parametrize("path", [WELL_KNOWN, f"{WELL_KNOWN}/mcp"])
async def test_pages_of_every_origin_may_read_oauth_metadata(path: str) -> None:
    app = edge(allowed_hosts="docs.example.com", **OIDC)
    found = await fetch(app, "GET", path, **asked(FOREIGN))
    assert (found.status_code, found.headers["Access-Control-Allow-Origin"]) == (200, "*")
    preflight = await fetch(app, "OPTIONS", path, **asked(FOREIGN, **PREFLIGHT))
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert (await fetch(app, "POST", path, **asked(FOREIGN))).status_code == 403
    assert (await fetch(app, "GET", path, **asked(FOREIGN), base="http://evil.org")).status_code == 403


@pytest.mark.parametrize("origin", ["http://localhost:6274", "https://inspector.example.com:8443"])
async def test_allowed_pages_may_ask_first_and_read_the_answer(origin: str) -> None:
    app = edge(allowed_hosts="docs.example.com", allowed_origins="https://Inspector.example.com:8443")
    preflight = await fetch(app, "OPTIONS", **asked(origin, **PREFLIGHT))
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (204, origin)
    assert preflight.headers["Access-Control-Allow-Headers"] == "Authorization, *"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    answer = await fetch(app, **asked(origin))
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin", [FOREIGN, "https://inspector.example.com", "http://inspector.example.com:8443", "null"]
)
async def test_other_pages_get_neither(origin: str) -> None:
    app = edge(allowed_hosts="docs.example.com", allowed_origins="https://inspector.example.com:8443")
    for answer in (
        await fetch(app, "OPTIONS", **asked(origin, **PREFLIGHT)),
        await fetch(app, **asked(origin)),
    ):
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_with_a_token_every_host_may_pass_but_no_page_of_another() -> None:
    settings: dict[str, Any] = {"allowed_hosts": "docs,*", "auth_type": "Bearer", "auth_token_file": "/t"}
    app = edge(None, Credentials(auth_token="t"), **settings)  # noqa: S106

    async def ask(host: str, origin: str) -> int:
        headers = {"Authorization": "Bearer t", "Host": host} | ({"Origin": origin} if origin else {})
        return (await fetch(app, headers=headers)).status_code

    assert await ask("lb-1234.elb.example.com", "") == 200
    assert await ask("lb-1234.elb.example.com", "https://lb-1234.elb.example.com") == 200
    assert await ask("lb-1234.elb.example.com", FOREIGN) == 403


def wrapped(app: ASGIApp) -> ASGIApp:
    return Paths(app, "/flame")


async def test_probes_pass_below_the_prefix_too() -> None:
    app = wrapped(edge(allowed_hosts="docs.example.com", **OIDC))
    assert (await fetch(app, "GET", "/flame/health/ready")).status_code == 200
    assert (await fetch(app, "POST", "/flame/mcp")).status_code == 401


def test_a_whole_server_redirects_to_no_other_scheme(lexical_index: Path) -> None:
    settings = {"PATH_PREFIX": "/flame", "TRUSTED_PROXIES": "private"}
    ask = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    def status(method: str, path: str, accept: str | None = headers["Accept"]) -> int:
        kept = {name: value for name, value in headers.items() if name != "Accept"}
        sent = kept | ({"Accept": accept} if accept else {})
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path, ask if method == "POST" else None, sent)
            response = connection.getresponse()
            response.read()
            assert "://" not in response.headers.get("Location", "")
            return response.status
        finally:
            connection.close()

    with running([*FLAME_MCP, "serve"], lexical_index, **settings) as (process, port):
        ready(process, port)
        for method, expected in {"POST": 200, "GET": 405, "DELETE": 405, "PUT": 405}.items():
            for path in ("/mcp", "/mcp/", "/flame/mcp", "/flame/mcp/"):
                assert (method, path, status(method, path)) == (method, path, expected)
        for path, expected in {"/": 200, "/flame/": 200, "/flame/page.css": 200, "/page.css/": 404}.items():
            assert (path, status("GET", path)) == (path, expected)
        assert status("GET", "/flame") == 307
        # A session of another server, as after an update, means nothing to one that keeps none.
        headers["Mcp-Session-Id"] = "another-server"
        assert status("POST", "/mcp") == 200
        assert [status("POST", "/mcp", accept) for accept in (None, "text/event-stream")] == [200, 200]


def test_a_protocol_of_the_future_is_answered_with_one_of_today(lexical_index: Path) -> None:
    client = {
        "protocolVersion": "2099-01-01",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    }
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
    with running([*FLAME_MCP, "serve"], lexical_index) as (process, port):
        ready(process, port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", "/mcp", json.dumps(hello), {"Content-Type": "application/json"})
        answer = json.load(connection.getresponse())
        connection.close()
    assert "2025-06-18" <= answer["result"]["protocolVersion"] < "2099-01-01"
