"""Turns the operator's settings into the defaults of the installation, for the operator and for `render`."""

from flame_operator.desired.inputs import Defaults
from flame_operator.resource.spec.common import KeyRef
from flame_operator.resource.spec.workload import Egress, Metadata, Proxy
from flame_operator.settings import Settings


def defaults_of(settings: Settings) -> Defaults:
    """The defaults that hold where a spec leaves something out, without the operator's own namespace."""
    return Defaults(
        image=settings.server_image,
        qdrant_image=settings.qdrant_image,
        image_pull_secrets=settings.image_pull_secrets,
        cluster_domain=settings.cluster_domain,
        dns_ports=settings.dns_ports,
        fixed_users=settings.fixed_users,
        http_issuers=settings.http_issuers,
        metadata=Metadata(labels=settings.child_labels, annotations=settings.child_annotations),
        pod_template=Metadata(labels=settings.pod_labels, annotations=settings.pod_annotations),
        egress=Egress(proxy=_proxy(settings), ca_bundle_config_map_ref=_ca_bundle(settings)),
    )


def _proxy(settings: Settings) -> Proxy | None:
    if not (settings.http_proxy or settings.https_proxy):
        return None
    return Proxy(http=settings.http_proxy, https=settings.https_proxy, no_proxy=settings.no_proxy)


def _ca_bundle(settings: Settings) -> KeyRef | None:
    name = settings.ca_bundle_config_map
    return KeyRef(name=name, key=settings.ca_bundle_key) if name else None
