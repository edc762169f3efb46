"""The pods' ServiceAccount."""

from flame_operator.desired.naming import child
from flame_operator.model import SERVICE_ACCOUNT, Manifest, Server


def service_account(server: Server) -> Manifest:
    """An account without a token in pods: the server never talks to the Kubernetes API."""
    return {
        **child(SERVICE_ACCOUNT, server, server.spec.service_account.annotations),
        "automountServiceAccountToken": False,
    }
