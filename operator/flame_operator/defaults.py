"""Turns the operator's settings into the defaults of the installation, for the operator and for `render`."""

from flame_operator.desired.inputs import Defaults
from flame_operator.settings import Settings


def defaults_of(settings: Settings) -> Defaults:
    """The defaults that hold where a spec leaves something out, without the operator's own namespace."""
    return Defaults(
        image=settings.server_image,
        qdrant_image=settings.qdrant_image,
        image_pull_secrets=settings.image_pull_secrets,
        dns_ports=settings.dns_ports,
    )
