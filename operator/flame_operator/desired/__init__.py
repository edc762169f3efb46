"""What a server's children should be. Pure: the same server and defaults always give the same manifests."""

from flame_operator.desired.account import service_account
from flame_operator.desired.config import config_map
from flame_operator.desired.deployment import deployment
from flame_operator.desired.hashing import sealed
from flame_operator.desired.naming import Defaults
from flame_operator.desired.service import service
from flame_operator.model import Manifest, Server


def desired(server: Server, defaults: Defaults) -> tuple[Manifest, ...]:
    """All children of `server`, in the order in which they are applied: what pods need comes before pods."""
    config = config_map(server)
    children = (service_account(server), config, deployment(server, defaults, config), service(server))
    return tuple(sealed(child) for child in children)


__all__ = ["Defaults", "desired"]
