"""Makes the parts of a pod's spec that several kinds of pods share."""

from collections.abc import Mapping
from typing import Any

from flame_operator.desired.inputs import Defaults
from flame_operator.desired.naming import Component, labels, users_own
from flame_operator.desired.references import Credential
from flame_operator.resource.kinds import SECRET
from flame_operator.resource.server import Server

USER_ID = 65532
"""The user ID in the server's image."""
CREDENTIALS_MODE = 0o440
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
LAST_WORDS = {"terminationMessagePolicy": "FallbackToLogsOnError"}
"""Has the kubelet keep the end of a failed container's log, which tells why it failed."""
_IDENTITY = "azure.workload.identity/"
# Azure's webhook gives pods with this label a token of their ServiceAccount, and variables that point to it.
WORKLOAD_IDENTITY_LABEL = "azure.workload.identity/use"


def pod_security(defaults: Defaults, user: int, group: int, fs_group: int | None) -> dict[str, Any]:
    """The security context of pods, with these users of their image unless the platform assigns them.

    Args:
        defaults: The installation's defaults.
        user: The user's ID.
        group: The ID of its group.
        fs_group: The ID of the group that may read and write volumes; None when there is none to share.
    """
    users = {"runAsUser": user, "runAsGroup": group} | ({} if fs_group is None else {"fsGroup": fs_group})
    return {
        "runAsNonRoot": True,
        **(users if defaults.fixed_users else {}),
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def pod_metadata(
    server: Server,
    component: Component,
    own_labels: Mapping[str, str] | None = None,
    own_annotations: Mapping[str, str] | None = None,
) -> dict[str, dict[str, str]]:
    """The metadata of a pod template: the user's labels and annotations, which never replace the operator's.

    Args:
        server: The server.
        component: The part of the server that the pods are.
        own_labels: The operator's labels besides those of every pod.
        own_annotations: The operator's annotations.
    """
    given = server.spec.pod_template
    own = labels(server.key.name, component) | dict(own_labels or {})
    return {
        "labels": {**_users(given.labels), **own},
        "annotations": {**_users(given.annotations), **(own_annotations or {})},
    }


def _users(given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in users_own(given).items() if not name.startswith(_IDENTITY)}


def pull_secrets(server: Server, defaults: Defaults) -> dict[str, Any]:
    """The field `imagePullSecrets` of a pod's spec; empty when there are no such Secrets."""
    names = [secret.name for secret in server.spec.image_pull_secrets] or defaults.image_pull_secrets
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def image_fields(server: Server, image: str) -> dict[str, str]:
    """The fields `image` and `imagePullPolicy` of a container."""
    policy = server.spec.image_pull_policy
    return {"image": image, **({"imagePullPolicy": policy} if policy else {})}


def server_image(server: Server, defaults: Defaults) -> str:
    """The image of the search server, which also runs the Jobs that load docs."""
    return server.spec.image or defaults.image


def credentials_volume(files: tuple[Credential, ...]) -> dict[str, Any]:
    """The volume with a pod's credentials.

    They are files rather than variables, because variables end up in crash reports and in the environment of
    every child process.
    """
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
    """A value that Kubernetes takes literally: `$$` stands for `$`, so that `$(NAME)` isn't expanded."""
    return value.replace("$", "$$")
