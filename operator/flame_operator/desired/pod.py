"""What all pods have in common."""

from typing import Any

from flame_operator.desired.inputs import Defaults
from flame_operator.desired.references import Credential
from flame_operator.resource.kinds import SECRET
from flame_operator.resource.server import Server

USER_ID = 65532
"""The user of the server's image."""
CREDENTIALS_MODE = 0o440
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER_ID,
    "runAsGroup": USER_ID,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Of pods of the server's image."""
# Its webhook gives pods with this label a token of their ServiceAccount, and the variables that name it.
WORKLOAD_IDENTITY_LABEL = "azure.workload.identity/use"


def pull_secrets(server: Server, defaults: Defaults) -> dict[str, Any]:
    """The field of a pod's spec that says how images are pulled; empty when nothing has to be said."""
    names = [secret.name for secret in server.spec.image_pull_secrets] or defaults.image_pull_secrets
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def image_fields(server: Server, image: str) -> dict[str, str]:
    """The fields of a container that say what it runs."""
    policy = server.spec.image_pull_policy
    return {"image": image, **({"imagePullPolicy": policy} if policy else {})}


def server_image(server: Server, defaults: Defaults) -> str:
    """The search server's image, which loads docs, too."""
    return server.spec.image or defaults.image


def credentials_volume(files: tuple[Credential, ...]) -> dict[str, Any]:
    """As files, not variables: those end up in crash reports, and in the environment of every process."""
    sources = [
        {
            "secret" if reference.kind is SECRET else "configMap": {
                "name": reference.name,
                "items": [{"key": reference.key, "path": file}],
            }
        }
        for file, reference in files
    ]
    return {"name": "credentials", "projected": {"defaultMode": CREDENTIALS_MODE, "sources": sources}}


def literal(value: str) -> str:
    """The value as Kubernetes takes it literally: `$$` stands for `$`, so `$(NAME)` isn't expanded."""
    return value.replace("$", "$$")
