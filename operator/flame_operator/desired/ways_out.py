"""Tells pods how to reach what is outside: through which proxy, and which certificates to trust."""

import re
from typing import Any

from flame_operator.desired.egress import single_label_hosts, urls
from flame_operator.desired.pod import literal
from flame_operator.resource.server import Server

CA_VOLUME = "ca"
CA_PATH = "/etc/flame-mcp/ca"
CA_FILE = "ca.crt"
ALWAYS_DIRECT = ("localhost", "127.0.0.1", "::1", ".svc")
"""What no proxy is asked for: the pod itself, and Services; their full names end in the cluster's domain."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_FOR_JOBS = (*_PROXIES, "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables of `env` that Jobs get as well, in any case: those that say how to get out."""
_PROXY_URL = re.compile(
    r"(https?://)(?:[^/@]*@)?((?:[-A-Za-z0-9._]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)(?:/.*)?"
)


def server_variables(server: Server, domain: str) -> list[dict[str, str]]:
    """The environment of the search server: `env`, and the proxy unless `env` names another."""
    return _variables(_env(server) | _of_proxy(server, domain))


def job_variables(server: Server, domain: str) -> list[dict[str, str]]:
    """The environment of every step of a Job: what the server has of it that says how to get out."""
    kept = {name: value for name, value in _env(server).items() if name.upper() in _FOR_JOBS}
    return _variables(kept | _of_proxy(server, domain))


def proxy_urls(server: Server) -> tuple[str, ...]:
    """The URLs of the proxies that pods connect to, whoever names them, without user and password."""
    named = _env(server) | _of_proxy(server, "")
    matches = (_PROXY_URL.fullmatch(value) for name, value in named.items() if name.upper() in _PROXIES)
    return tuple(match[1] + match[2] for match in matches if match)


def ca_setting(server: Server) -> str | None:
    """The path of the file with certificates to trust besides the public ones; None when there is none."""
    return f"{CA_PATH}/{CA_FILE}" if server.spec.egress.ca_bundle_config_map_ref else None


def ca_volumes(server: Server) -> list[dict[str, Any]]:
    """The volume with these certificates; empty when there are none."""
    bundle = server.spec.egress.ca_bundle_config_map_ref
    if bundle is None:
        return []
    source = {"configMap": {"name": bundle.name, "items": [{"key": bundle.key, "path": CA_FILE}]}}
    return [{"name": CA_VOLUME, "projected": {"sources": [source]}}]


def ca_mounts(server: Server) -> list[dict[str, Any]]:
    """The mount of that volume."""
    return [{"name": one["name"], "mountPath": CA_PATH, "readOnly": True} for one in ca_volumes(server)]


def _env(server: Server) -> dict[str, str]:
    return {env.name: env.value for env in server.spec.env}


def _of_proxy(server: Server, domain: str) -> dict[str, str]:
    """The variables of `egress.proxy` that `env` doesn't set in any case."""
    proxy = server.spec.egress.proxy
    if proxy is None or not (proxy.http or proxy.https):
        return {}
    direct = (*ALWAYS_DIRECT, f".{domain}", *single_label_hosts(urls(server)), *proxy.no_proxy)
    found = {
        "HTTP_PROXY": proxy.http,
        "HTTPS_PROXY": proxy.https,
        "NO_PROXY": ",".join(dict.fromkeys(direct)),
    }
    taken = {name.upper() for name in _env(server)}
    return {name: value for name, value in found.items() if value and name not in taken}


def _variables(named: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": literal(value)} for name, value in named.items()]
