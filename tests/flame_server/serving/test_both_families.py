"""The server listens on IPv4 and on IPv6, or on the one of them that there is."""

import errno
import socket
import urllib.request
from typing import Any

import pytest

from flame_server.serving.listeners.metrics_port import MetricsListener
from flame_server.serving.listeners.sockets import EVERYWHERE, listen, shown
from flame_server.serving.metrics import Metrics

BOTH = ("127.0.0.1", "::1")
needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


def families(found: list[socket.socket]) -> list[str]:
    try:
        return [one.family.name for one in found]
    finally:
        for one in found:
            one.close()


@needs_ipv6
def test_clients_of_both_families_come_in_under_their_own_addresses() -> None:
    found = listen(EVERYWHERE, 0, 8)
    port = found[0].getsockname()[1]
    try:
        for address in BOTH:
            with socket.create_connection((address, port), timeout=5) as client:
                listener = found[0] if ":" in address else found[1]
                accepted, peer = listener.accept()
                accepted.close()
                assert peer[0] == client.getsockname()[0] == address
    finally:
        families(found)


@needs_ipv6
def test_metrics_are_there_for_both() -> None:
    listener = MetricsListener(EVERYWHERE, 0, Metrics(), dict)
    try:
        for address in BOTH:
            url = f"http://{shown(address, listener.port)}/metrics"
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
    finally:
        listener.close()


@pytest.mark.parametrize(
    ("lacks", "rest"),
    [(socket.AF_INET6, ["AF_INET"]), (socket.AF_INET, ["AF_INET6"])],
    ids=["IPv6", "IPv4"],
)
@needs_ipv6
def test_a_machine_with_one_family_is_enough(
    lacks: socket.AddressFamily, rest: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = socket.create_server

    def without(address: tuple[str, int], *, family: socket.AddressFamily, **options: Any) -> socket.socket:  # noqa: ANN401 - as socket has it
        if family == lacks:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return create(address, family=family, **options)

    monkeypatch.setattr("socket.create_server", without)
    assert families(listen(EVERYWHERE, 0, 8)) == rest


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for host in ("127.0.0.1", EVERYWHERE):
            with pytest.raises(OSError, match="in use"):
                families(listen(host, taken.getsockname()[1], 8))
