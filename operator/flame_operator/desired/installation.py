"""Fills in what a spec leaves to the installation, before anything is made of it."""

from dataclasses import replace

from flame_operator.desired.inputs import Defaults
from flame_operator.resource.server import Server


def with_defaults(server: Server, defaults: Defaults) -> Server:
    """The server with the installation's ways out, labels and annotations; those of its spec win."""
    given, default = server.spec.egress, defaults.egress
    egress = given.model_copy(
        update={
            "proxy": default.proxy if given.proxy is None else given.proxy,
            "ca_bundle_config_map_ref": given.ca_bundle_config_map_ref or default.ca_bundle_config_map_ref,
        }
    )
    own, shared = server.spec.pod_template, defaults.pod_template
    template = own.model_copy(
        update={"labels": shared.labels | own.labels, "annotations": shared.annotations | own.annotations}
    )
    changed = {"egress": egress, "pod_template": template}
    return replace(server, spec=server.spec.model_copy(update=changed))
