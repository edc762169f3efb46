"""Makes the ServiceAccount of a server's pods."""

from flame_operator.desired.naming import child
from flame_operator.resource.kinds import SERVICE_ACCOUNT, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.unions import workload_identity

CLIENT_ID = "azure.workload.identity/client-id"


def service_account(server: Server) -> Manifest:
    """The ServiceAccount of the pods, which get no token of it: they never talk to the Kubernetes API."""
    identity = workload_identity(server)
    own = {CLIENT_ID: identity.client_id} if identity and identity.client_id else None
    return {
        **child(SERVICE_ACCOUNT, server, server.spec.service_account.annotations, own),
        "automountServiceAccountToken": False,
    }
