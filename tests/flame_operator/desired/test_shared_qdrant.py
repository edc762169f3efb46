"""Resources that load docs into a Qdrant of others: their names there, and who they say that they are."""

from typing import Any

import pytest

from flame_operator.desired.config import alias, config_map
from flame_operator.desired.ingestion_job import inputs, job
from flame_operator.desired.inputs import Defaults
from flame_operator.desired.run import Run, Task
from flame_operator.resource.server import Server, parse_server
from tests.support.operator.fake_kube import server

EXTERNAL = {"type": "External", "external": {"url": "http://qdrant:6333"}}
SOURCES = {"sources": [{"name": "docs", "bundled": {}}]}
DEFAULTS = Defaults(image="server", qdrant_image="qdrant")


def resource(namespace: str = "default", name: str = "docs", **spec: Any) -> Server:  # noqa: ANN401 - as in YAML
    body = server(name, **spec)
    body["metadata"]["namespace"] = namespace
    return parse_server(body, forbid_unknown=True)


def arguments(one: Server, task: Task = "ingest") -> list[str]:
    args: list[str] = job(one, DEFAULTS, Run(task, "", ""))["spec"]["template"]["spec"]["containers"][-1][
        "args"
    ]
    return args


def test_who_loads_has_a_name_of_its_own_that_pods_read() -> None:
    one = resource("team-1", vectorStore=EXTERNAL, ingestion=SOURCES)
    assert alias(one) == "flame-docs.team-1.docs"
    assert config_map(one, DEFAULTS)["data"]["FLAME_MCP_QDRANT_COLLECTION"] == alias(one)
    args = arguments(one)
    assert args[args.index("--collection") + 1] == alias(one)
    # Names and namespaces may contain hyphens, which must not make two of them one.
    others = {
        alias(resource(*at, vectorStore=EXTERNAL, ingestion=SOURCES)) for at in [("a-b", "c"), ("a", "b-c")]
    }
    assert len(others) == 2


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"vectorStore": EXTERNAL}, "flame-docs"),
        ({"vectorStore": {"type": "Managed"}}, "flame-docs"),
        # As every resource has it in its spec that was stored when the schema had this default.
        (
            {
                "vectorStore": {
                    "type": "External",
                    "external": {"url": "http://q", "collection": "flame-docs"},
                },
                "ingestion": SOURCES,
            },
            "flame-docs",
        ),
    ],
    ids=["reads", "managed", "stored"],
)
def test_others_have_the_name_that_they_had(spec: dict[str, Any], name: str) -> None:
    assert alias(resource(**spec)) == name


@pytest.mark.parametrize("task", ["ingest", "rollback"])
def test_a_shared_qdrant_is_told_who_publishes(task: Task) -> None:
    args = arguments(resource("team-1", vectorStore=EXTERNAL, ingestion=SOURCES), task)
    assert args[args.index("--owner") + 1].startswith("team-1/docs@")
    # Volumes outlive a resource, and the next one of its name has another UID.
    assert "--owner" not in arguments(resource(vectorStore={"type": "Managed"}, ingestion=SOURCES), task)


def test_taking_over_is_a_new_run_that_names_the_owner() -> None:
    before = resource(vectorStore=EXTERNAL, ingestion=SOURCES)
    after = resource(vectorStore=EXTERNAL, ingestion={**SOURCES, "takeOver": "team-2/docs@uid"})
    assert "--take-over" not in arguments(before)
    assert arguments(after)[-2:] == ["--take-over", "team-2/docs@uid"]
    assert inputs(before, DEFAULTS) != inputs(after, DEFAULTS)
