import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flame_server.commands.main import main
from flame_server.index.build import build_index
from flame_server.publishing.publish import publish_index
from flame_server.qdrant.connection import QdrantTarget
from tests.support.server.embedding_service import DEPLOYMENT, KEY, StandIn, served
from tests.support.server.qdrant_server import qdrant_served
from tests.support.server.small_docs import quiet


def check(*arguments: str, **settings: str) -> Result:
    environment = {f"FLAME_MCP_{name}": value for name, value in settings.items()}
    return CliRunner().invoke(main, ["check", *arguments], env=environment, catch_exceptions=False)


def steps(**settings: str) -> dict[str, Any]:
    return {step["name"]: step for step in json.loads(check("--json", **settings).stdout)}


def azure(service: StandIn, key: Path) -> dict[str, str]:
    return {
        "EMBEDDING_TYPE": "AzureOpenAI",
        "AZURE_OPENAI_ENDPOINT": service.url,
        "AZURE_OPENAI_DEPLOYMENT": DEPLOYMENT,
        "AZURE_OPENAI_API_KEY_FILE": str(key),
    }


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text(KEY)
    return tmp_path / "key"


def test_a_sound_server_is_a_table_of_ok(local_index: Path, key: Path) -> None:
    result = check(INDEX_DIR=str(local_index), AUTH_TYPE="Bearer", AUTH_TOKEN_FILE=str(key))
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["index", "embedding", "question", "token"]
    assert {line[1] for line in lines} == {"ok"}
    assert all(line[3] == "ms" for line in lines)
    assert "all-MiniLM-L6-v2-int8, 384 dimensions" in result.stdout
    assert KEY not in result.stdout


def test_each_failure_says_what_to_do_and_the_rest_is_tried(lexical_index: Path) -> None:
    settings = {"INDEX_DIR": str(lexical_index), "AUTH_TYPE": "OIDC"}
    settings |= {"AUTH_OIDC_ISSUER": "http://127.0.0.1:1/tenant", "AUTH_OIDC_AUDIENCE": "flame"}
    assert check(**settings).exit_code == 1
    found = steps(**settings)
    assert {name: step["status"] for name, step in found.items()} == {
        "index": "ok",
        "embedding": "failed",
        "question": "failed",
        "issuer": "failed",
    }
    assert "rebuild it with flame-mcp index build" in found["embedding"]["detail"]
    assert "http://127.0.0.1:1/tenant/.well-known/openid-configuration: " in found["issuer"]["detail"]


def test_settings_that_cannot_be_used_are_exit_code_2() -> None:
    assert check(AUTH_TYPE="Token").exit_code == 2


def test_no_index_is_a_failure_of_every_step_that_needs_it(tmp_path: Path) -> None:
    found = steps(INDEX_DIR=str(tmp_path / "none"), EMBEDDING_TYPE="None")
    assert [step["status"] for step in found.values()] == ["failed", "failed"]
    assert "build one with" in found["index"]["detail"]


def test_a_service_with_other_dimensions_than_the_index(small_docs: Path, tmp_path: Path, key: Path) -> None:
    with served() as service:
        settings = {"INDEX_DIR": str(tmp_path / "index"), **azure(service, key)}
        environment = {f"FLAME_MCP_{name}": value for name, value in settings.items()}
        command = ["index", "build", "--source", str(small_docs), "--out", settings["INDEX_DIR"]]
        CliRunner().invoke(main, [*command, "--embedding", "azure-openai"], env=environment)
        assert {step["status"] for step in steps(**settings).values()} == {"ok"}
        service.dimensions = 9
        found = steps(**settings)
    assert "gives 9 dimensions" in found["embedding"]["detail"]
    assert found["question"]["detail"] == "it is answered by words only: see the step embedding"


def test_qdrant_is_looked_at(small_docs: Path, tmp_path: Path) -> None:
    build_index(str(small_docs), tmp_path, embedding="none", report=quiet)
    settings = {"VECTOR_STORE_TYPE": "Qdrant", "QDRANT_COLLECTION": "flame-docs", "EMBEDDING_TYPE": "None"}
    with qdrant_served() as server:
        missing = steps(QDRANT_URL=server.url, **settings)
        publish_index(tmp_path, QdrantTarget(server.url, "flame-docs"), quiet)
        found = steps(QDRANT_URL=server.url, **settings)
    assert "flame-mcp index publish" in missing["qdrant"]["detail"]
    assert [step["status"] for step in found.values()] == ["ok", "ok"]
    assert found["qdrant"]["detail"] == "2 pages, 4 chunks, version latest, None"
