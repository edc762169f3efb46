"""Decides which addresses are never requested: those that the cloud or the cluster keeps to itself."""

import ipaddress
import os
import socket
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_RESERVED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        # Metadata of AWS, Azure, Google and others, and the credentials of pods on AWS.
        "169.254.0.0/16",
        # Azure's wire server, Alibaba's metadata, Oracle's metadata.
        "168.63.129.16/32",
        "100.100.100.200/32",
        "192.0.0.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        # Metadata of AWS and of Google over IPv6.
        "fd00:ec2::/32",
        "fd20:ce::/32",
    )
)
_NAMES = (
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "instance-data",
    "instance-data.ec2.internal",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
)
# Prefixes of IPv6 whose last 32 bits are an IPv4 address: compatible, translated (RFC 2765), NAT64.
_CARRIERS = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_ISATAP = (0x5EFE, 0x200_5EFE)


def addresses_of(host: str) -> Sequence[Address]:
    """The addresses of a host: a number in any form that resolvers read, or what a name resolves to.

    Empty when there is no such name here; it may be for a proxy to resolve.
    """
    if number := _number(host):
        return (number,)
    with suppress(OSError, ValueError):
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
        return tuple(address_of(str(one[4][0])) for one in found)
    return ()


def address_of(text: str) -> Address:
    """An address in the form that sockets give, without its zone.

    Raises:
        ValueError: It is none.
    """
    return ipaddress.ip_address(text.partition("%")[0])


def is_reserved_host(host: str) -> bool:
    """Whether the name or number of a host says, without a look-up, that it must not be requested."""
    plain = _plain(host)
    if "%" in plain:
        return True  # a zone of this machine, or a disguise
    number = _number(host)
    if number is not None:
        return is_reserved(number)
    return plain in _NAMES or plain.startswith("kubernetes.default.svc.")


def is_reserved(address: Address) -> bool:
    """Whether the cloud or the cluster keeps an address to itself, also inside an IPv6 address."""
    return any(
        one == _api_server() or any(one in network for network in _RESERVED if network.version == one.version)
        for one in _meant(address)
    )


def is_local(address: Address) -> bool:
    """Whether an address is one of this machine."""
    return any(one.is_loopback for one in _meant(address))


def is_private(address: Address) -> bool:
    """Whether an address belongs to a private network, such as that of the cluster."""
    return any(not one.is_global for one in _meant(address))


def _plain(host: str) -> str:
    # As clients do it (IDNA): full-width digits and dots become plain ones.
    return unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower().rstrip(".")


def _number(host: str) -> Address | None:
    plain = _plain(host)
    with suppress(ValueError):
        return address_of(plain)
    # Decimal, octal, hexadecimal and shortened forms.
    if plain and set(plain) <= set("0123456789abcdefx."):
        with suppress(OSError):
            return ipaddress.IPv4Address(socket.inet_aton(plain))
    return None


def _meant(address: Address) -> Iterator[Address]:
    """An address, and the IPv4 addresses that it carries."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    number = int(address)
    carried = (number >> 32) & 0xFFFF_FFFF in _ISATAP or any(address in network for network in _CARRIERS)
    if carried and number > 0xFFFF:  # below are :: and ::1, which are addresses of their own
        yield ipaddress.IPv4Address(number & 0xFFFF_FFFF)


def _api_server() -> Address | None:
    with suppress(ValueError):
        return address_of(os.environ.get("KUBERNETES_SERVICE_HOST", ""))
    return None
