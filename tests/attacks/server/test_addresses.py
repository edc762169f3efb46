"""Addresses that the cloud or the cluster keeps to itself are never requested, however they are written."""

import json
import socket
import socketserver
from collections.abc import Callable
from pathlib import Path

import pytest

from flame_server.errors import FlameMcpError
from flame_server.sources import archive, git, web
from flame_server.sources.fetch import read_sources
from tests.support.server.in_thread import serving

RESERVED = [
    # Metadata, by number: decimal, octal, hexadecimal, shortened, mixed; with a dot at the end.
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "025177524776",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    "１６９.２５４.１６９.２５４",  # noqa: RUF001 - full-width digits
    "169。254。169。254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",  # noqa: S104 - nothing is bound
    "0",
    "255.255.255.255",
    "224.0.0.1",
    # IPv6, also as mapped, compatible, translated, 6to4, NAT64, ISATAP and Teredo forms of 169.254.169.254.
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fe80::1%25eth0]",
    "[::]",
    "[ff02::1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[::ffff:0:169.254.169.254]",
    "[2002:a9fe:a9fe::]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2001:db8::5efe:a9fe:a9fe]",
    "[2001:0:a9fe:a9fe::1]",
    # Names.
    "metadata.google.internal",
    "METADATA.google.internal.",
    "metadata",
    "instance-data.ec2.internal",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "Kubernetes.Default.Svc.cluster.local.",
    # The API server's own address, from the pod's environment.
    "10.96.0.1",
    "0x0a600001",
    "[::ffff:10.96.0.1]",
]
TAKEN = [
    "docs.example.com",
    "git.team.svc",
    "10.1.2.3",
    "192.168.1.5",
    "localhost",
    "[2606:4700::1111]",
    "metadata.example",
]


@pytest.fixture(autouse=True)
def _api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")


@pytest.mark.parametrize("host", RESERVED)
@pytest.mark.parametrize("member", ["git", "http"])
def test_a_source_cannot_name_one(host: str, member: str) -> None:
    sources = json.dumps([{"name": "a", member: {"url": f"https://{host}/latest"}}])
    with pytest.raises(FlameMcpError, match=r"keeps to itself|valid IP|not valid"):
        read_sources(sources)


@pytest.mark.parametrize("host", RESERVED)
def test_a_redirect_cannot_lead_to_one(host: str) -> None:
    with pytest.raises((FlameMcpError, ValueError)):
        web.refuse_redirect("https://docs.example.com/a", f"https://{host}/latest")


@pytest.mark.parametrize("host", TAKEN)
def test_others_can_be_named(host: str) -> None:
    assert read_sources(json.dumps([{"name": "a", "git": {"url": f"https://{host}/x"}}]))


def resolving(monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    def found(host: str, port: int, **_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (names[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_a_name_that_resolves_to_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, as the URL of a source itself, such as 169.254.169.254.nip.io."""
    resolving(monkeypatch, {"a.nip.io": "169.254.169.254", "docs.example.com": "93.184.215.14"})
    for start in ("https://a.nip.io/", "https://docs.example.com/"):
        with pytest.raises(FlameMcpError, match="keeps to itself"):
            web.refuse_redirect(start, "https://a.nip.io/latest")


def test_the_internet_cannot_lead_into_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"evil.example.com": "93.184.215.14", "db.team.svc": "10.0.0.5", "git.team.svc": "10.0.0.6"}
    resolving(monkeypatch, names)
    with pytest.raises(FlameMcpError, match="in a private network"):
        web.refuse_redirect("https://evil.example.com/", "https://db.team.svc/")
    web.refuse_redirect("https://git.team.svc/", "https://db.team.svc/")


def test_a_name_that_resolves_otherwise_for_the_connection_is_noticed() -> None:
    """Rebinding: what counts is the address that the connection was made to."""
    web.refuse_peer("93.184.215.14")
    for peer in ("169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0", "10.96.0.1"):
        with pytest.raises(FlameMcpError, match="keeps to itself"):
            web.refuse_peer(peer)


@pytest.mark.parametrize(
    "fetched",
    [
        lambda url, folder: archive.download(url, None, folder / "a"),
        lambda url, folder: git.clone(url, "main", folder / "out"),
    ],
    ids=["archive", "git"],
)
def test_nothing_is_sent_to_an_address_that_only_the_connection_finds(
    fetched: Callable[[str, Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding, with a real connection: the name is harmless when it is checked."""
    received: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received.append(self.request.recv(1))

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setattr(web, "addresses_of", lambda _: ())
    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        url = f"https://localhost:{server.server_address[1]}/a"
        with pytest.raises(FlameMcpError, match=r"127\.0\.0\.1 is an address that .* keeps to itself"):
            fetched(url, tmp_path)
    assert not b"".join(received)
