"""Makes the Jobs that load docs, take snapshots, copy collections and roll back."""

import json
from collections.abc import Mapping
from typing import Any

from flame_operator.desired import references
from flame_operator.desired.config import Environment, alias, embedding, vector_store
from flame_operator.desired.hashing import digest
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.naming import child, qdrant_node_url
from flame_operator.desired.pod import (
    CONTAINER_SECURITY,
    LAST_WORDS,
    USER_ID,
    WORKLOAD_IDENTITY_LABEL,
    credentials_volume,
    image_fields,
    literal,
    pod_metadata,
    pod_security,
    pull_secrets,
    server_image,
)
from flame_operator.desired.references import CREDENTIALS_PATH, ingestion_credentials
from flame_operator.desired.resources import DefaultResources, container_resources
from flame_operator.desired.run import Run
from flame_operator.desired.scheduling import placement
from flame_operator.desired.sources import source_mounts, source_volumes, sources_as_json
from flame_operator.desired.ways_out import ca_mounts, ca_setting, ca_volumes, job_variables
from flame_operator.resource.annotations import ATTEMPT, INPUTS, TASK, TRIGGER
from flame_operator.resource.kinds import JOB, Key, Manifest
from flame_operator.resource.server import Server
from flame_operator.resource.spec.common import Resources
from flame_operator.resource.unions import external_qdrant, managed_qdrant, workload_identity

LOAD_DEADLINE_SECONDS = 3600
"""How long a run may take when the spec doesn't say."""
RETRIES = 4
"""How often a Job replaces a failed pod: Kubernetes waits 10, 20, 40 and 80 seconds in between."""
FINAL_EXIT_CODES = (1, 2, 3)
"""Exit codes of `flame-mcp` after which no retry helps: the user must change something, or the index was held
back."""
FIGURES = DefaultResources(
    requests={"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "256Mi"},
    limits={"cpu": "1", "memory": "1Gi", "ephemeral-storage": "4Gi"},
)
BUNDLED_INDEX = "/opt/flame-mcp/index"
EMBEDDINGS = {"Local": "local", "None": "none", "AzureOpenAI": "azure-openai", "OpenAI": "openai"}


def inputs(server: Server, defaults: Defaults) -> str:
    """The digest of everything that the result of a load depends on, except the content of the sources."""
    managed = managed_qdrant(server)
    depends: dict[str, Any] = {
        "image": server_image(server, defaults),
        "sources": sources_as_json(server),
        "embedding": embedding(server, None),
        "store": vector_store(server, {}),
        "replicas": managed.replicas if managed else 0,
    }
    if server.spec.ingestion and server.spec.ingestion.take_over:
        depends["takeOver"] = server.spec.ingestion.take_over
    return digest(depends)[:16]


def job(server: Server, defaults: Defaults, run: Run) -> Manifest:
    """The Job of a run. A Job can't be changed later, so it holds everything that the run needs."""
    manifest = child(JOB, server, component="ingestion", own=_annotations(run))
    manifest["metadata"]["name"] = run.name(server)
    with_identity = workload_identity(server) is not None
    identity = {WORKLOAD_IDENTITY_LABEL: "true"} if with_identity else {}
    # The container that fetches from the URLs of tenants must not have the identity of the pod.
    skipped = {"azure.workload.identity/skip-containers": "fetch"} if with_identity else {}
    template = {
        "metadata": pod_metadata(server, "ingestion", identity, skipped),
        "spec": _pod(server, defaults, run),
    }
    return {
        **manifest,
        "spec": {
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": deadline_seconds(server),
            # Never run two pods at once, not even while one is being stopped.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"operator": "In", "values": list(FINAL_EXIT_CODES)},
                    },
                ]
            },
            "template": template,
        },
    }


def deadline_seconds(server: Server) -> int:
    """How many seconds a run may take."""
    given = server.spec.ingestion
    return given.deadline_seconds if given else LOAD_DEADLINE_SECONDS


def _annotations(run: Run) -> dict[str, str]:
    """The annotations from which `run_of` reads the run back."""
    return {TASK: run.task, TRIGGER: run.trigger, INPUTS: run.inputs, ATTEMPT: str(run.attempt)}


def _pod(server: Server, defaults: Defaults, run: Run) -> dict[str, Any]:
    files = ingestion_credentials(server)
    steps = _steps(server, defaults, run)
    return {
        "serviceAccountName": server.key.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": pod_security(defaults, USER_ID, USER_ID, USER_ID),
        **placement(server),
        **pull_secrets(server, defaults),
        **({"initContainers": steps[:-1]} if steps[:-1] else {}),
        "containers": steps[-1:],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            *ca_volumes(server),
            *([{"name": "work", "emptyDir": {"sizeLimit": "4Gi"}}] if steps[:-1] else []),
            *([credentials_volume(files)] if files else []),
            *(source_volumes(server) if steps[:-1] else []),
        ],
    }


def _steps(server: Server, defaults: Defaults, run: Run) -> list[dict[str, Any]]:
    """The containers of a run, which run one after the other; each gets only what it needs."""
    target = ["--collection", alias(server)]
    if run.task == "rollback":
        return [_container(server, defaults, "rollback", ["index", "rollback", *target, *_owner(server)])]
    if run.task == "snapshot":
        managed = managed_qdrant(server)
        keep = managed.snapshots.keep if managed and managed.snapshots else 1
        # Each node keeps and counts its own snapshots, so always use the same one; each has all the data.
        node = f"--qdrant={qdrant_node_url(server)}"
        args = ["index", "snapshot", *target, node, "--keep", str(keep)]
        return [_container(server, defaults, "snapshot", args)]
    if run.task == "replicate":
        args = ["index", "replicate", *target, "--replicas", run.inputs]
        return [_container(server, defaults, "replicate", args)]
    if _loads_the_images_index(server):
        return [_container(server, defaults, "publish", _publish(server, BUNDLED_INDEX))]
    build = ["index", "build", "--fetched", "/work/sources", "--out", "/work/index"]
    build += ["--embedding", EMBEDDINGS[server.spec.embedding.type]]
    build += ["--reuse", BUNDLED_INDEX, "--reuse-qdrant"]
    return [
        _fetch(server, defaults),
        _container(server, defaults, "build", build, work=True),
        _container(server, defaults, "publish", _publish(server, "/work/index"), work=True),
    ]


def _loads_the_images_index(server: Server) -> bool:
    """Whether nothing has to be built: only bundled docs, with the image's own embedding model or none."""
    given = server.spec.ingestion
    bundled = given is None or all(source.bundled is not None for source in given.sources)
    return bundled and server.spec.embedding.type in ("Local", "None")


def _publish(server: Server, index: str) -> list[str]:
    managed = managed_qdrant(server)
    given = server.spec.ingestion
    percent = given.minimum_chunks_percent if given else 90
    return [
        *("index", "publish", "--index", index, "--collection", alias(server)),
        *("--min-ratio", f"{percent / 100:g}", "--canary", server.spec.verification.query),
        *("--replicas", str(managed.replicas if managed else 1)),
        *_owner(server),
        *(["--take-over", given.take_over] if given and given.take_over else []),
    ]


def _owner(server: Server) -> list[str]:
    """Who publishes; nobody in particular to a Qdrant of the resource's own, whose volumes may outlive it."""
    if external_qdrant(server) is None:
        return []
    name = f"{server.key.namespace}/{server.key.name}"
    return ["--owner", f"{name}@{server.uid}" if server.uid else name]


def _fetch(server: Server, defaults: Defaults) -> dict[str, Any]:
    """The container that fetches the docs from their sources; it has their credentials and no others."""
    container = _container(
        server, defaults, "fetch", ["index", "fetch", "--out", "/work/sources"], work=True, credentials=False
    )
    as_json = json.dumps(sources_as_json(server), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    sources = literal(as_json)
    container["env"].append({"name": "FLAME_MCP_SOURCES", "value": sources})
    # Only here: who writes to a volume must not reach the container that holds the keys.
    container["volumeMounts"] += source_mounts(server)
    return container


def _container(  # noqa: PLR0913 - all of it describes one container
    server: Server,
    defaults: Defaults,
    name: str,
    args: list[str],
    *,
    work: bool = False,
    credentials: bool = True,
) -> dict[str, Any]:
    files = {one.file: f"{CREDENTIALS_PATH}/{one.file}" for one in ingestion_credentials(server)}
    settings: Environment = {"RESULT_FILE": "/dev/termination-log", "CA_FILE": ca_setting(server)}
    if credentials:
        settings |= embedding(server, files.get(references.EMBEDDING_API_KEY)) | vector_store(server, files)
    given = server.spec.ingestion.resources if server.spec.ingestion else Resources()
    return {
        "name": name,
        **image_fields(server, server_image(server, defaults)),
        # An argument may contain `$(`, which Kubernetes must not expand.
        "args": [literal(arg) for arg in args],
        "env": [*_variables(settings), *job_variables(server, defaults.cluster_domain)],
        "resources": container_resources(given, FIGURES),
        "securityContext": CONTAINER_SECURITY,
        **LAST_WORDS,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path inside the container
            *ca_mounts(server),
            *([{"name": "work", "mountPath": "/work"}] if work else []),
            *(
                [{"name": "credentials", "mountPath": CREDENTIALS_PATH, "readOnly": True}]
                if credentials and files
                else []
            ),
        ],
    }


def _variables(settings: Mapping[str, str | int | None]) -> list[dict[str, str]]:
    return [
        {"name": f"FLAME_MCP_{name}", "value": literal(str(value))}
        for name, value in sorted(settings.items())
        if value is not None
    ]


def job_key(server: Server, run: Run) -> Key:
    """The key of a run's Job."""
    return Key(server.key.namespace, run.name(server))
