"""Fills in what a spec leaves to the installation, and refuses what that doesn't allow."""

from dataclasses import replace
from urllib.parse import urlsplit

from flame_operator.desired.inputs import Defaults
from flame_operator.errors import InvalidSpec
from flame_operator.resource.server import Server
from flame_operator.resource.spec.workload import Metadata
from flame_operator.resource.unions import oidc


def with_defaults(server: Server, defaults: Defaults) -> Server:
    """The server with the installation's ways out, labels and annotations; those of its spec win.

    Raises:
        InvalidSpec: The installation doesn't allow something that the spec asks for.
    """
    _check_issuer(server, defaults)
    given, default = server.spec.egress, defaults.egress
    egress = given.model_copy(
        update={
            "proxy": default.proxy if given.proxy is None else given.proxy,
            "ca_bundle_config_map_ref": given.ca_bundle_config_map_ref or default.ca_bundle_config_map_ref,
        }
    )
    changed = {
        "egress": egress,
        "metadata": _merged(server.spec.metadata, defaults.metadata),
        "pod_template": _merged(server.spec.pod_template, defaults.pod_template),
    }
    return replace(server, spec=server.spec.model_copy(update=changed))


def _merged(own: Metadata, shared: Metadata) -> Metadata:
    return own.model_copy(
        update={"labels": shared.labels | own.labels, "annotations": shared.annotations | own.annotations}
    )


def _check_issuer(server: Server, defaults: Defaults) -> None:
    """Let an issuer be asked over plain HTTP only where the installation allows it, and in the cluster only.

    What comes over HTTP can be replaced on its way, and with an issuer's keys anybody could make tokens.
    """
    given = oidc(server)
    if given is None or given.issuer.startswith("https://"):
        return
    if not defaults.http_issuers:
        raise InvalidSpec(
            "spec.auth.oidc.issuer: this operator allows no issuer over http://. Use https://, or have "
            "httpIssuers.enabled set in the operator's chart"
        )
    host = urlsplit(given.issuer).hostname or ""
    if not host.endswith((".svc", f".svc.{defaults.cluster_domain}")):
        raise InvalidSpec(
            f"spec.auth.oidc.issuer: {host} is no Service of this cluster, whose names end with .svc or "
            f".svc.{defaults.cluster_domain}. An issuer elsewhere needs https://"
        )
