import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flame_server.commands.main import main
from flame_server.index.manifest import read_manifest
from flame_server.settings import Settings
from tests.support.server.embedding_service import DEPLOYMENT, KEY, served
from tests.support.server.qdrant_server import qdrant_served
from tests.support.server.server_process import FLAME_MCP, get, ready, running


def run(*arguments: str, **environment: str) -> Result:
    variables = {"FLAME_MCP_EMBEDDING_TYPE": "None", **environment}
    return CliRunner().invoke(main, arguments, env=variables, catch_exceptions=False)


def test_build_search_verify_and_evaluate(small_docs: Path, tmp_path: Path) -> None:
    index, questions = str(tmp_path / "index"), tmp_path / "q.jsonl"
    built = run("index", "build", "--source", str(small_docs), "--out", index, "--embedding", "none")
    assert built.exit_code == 0
    assert built.stdout == f"index ready in {index}:\nlatest: 2 pages, 4 chunks\n"
    found = json.loads(run("search", "--index", index, "--json", "--limit", "2", "viewport camera").stdout)
    assert found["results"][0]["url"].endswith("flame/camera.html#viewport")
    assert (len(found["results"]), found["degraded"]) == (2, None)
    assert "1. Camera > Viewport" in run("search", "--index", index, "viewport").stdout
    assert json.loads(run("index", "verify", "--index", index, "--json").stdout)["chunks"] == 4
    questions.write_text(
        '{"query": "viewport", "gold": ["doc/flame/camera.md#Viewport"], "kind": "keyword"}\n'
    )
    report = json.loads(run("evaluate", "--index", index, "--queries", str(questions), "--json").stdout)
    assert (report["queries"], report["ndcg_at_10"], report["by_kind"]["keyword"]["mrr"]) == (1, 1.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("index", "build", "--source", "/no/docs", "--out", "{tmp}/i"),
            1,
            "error: docs source /no/docs is",
        ),
        (("index", "build", "--source", "{tmp}", "--out", "{tmp}/i"), 1, "has no usable markdown page"),
        (("index", "verify", "--index", "{tmp}"), 1, "error: no index in"),
        (("search", "--index", "{tmp}", "x"), 1, "error: no index in"),
        (("search", "--index", "{tmp}", " "), 2, "the query is empty"),
        (("evaluate", "--index", "{tmp}", "--queries", "{tmp}/none"), 1, "error: cannot read the questions"),
        (("ask", "--url", "http://127.0.0.1:1/mcp", "x"), 1, "error: no answer from an MCP server at"),
        (("healthcheck", "--port", "1"), 1, "error: http://127.0.0.1:1/health/ready: "),
        (("index", "build"), 2, "Missing option"),
    ],
)
def test_failures_have_a_plain_line_and_a_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_an_index_of_a_service_is_built_and_searched(small_docs: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    index = str(tmp_path / "index")
    with served() as service:
        environment = {
            "FLAME_MCP_EMBEDDING_TYPE": "AzureOpenAI",
            "FLAME_MCP_AZURE_OPENAI_ENDPOINT": service.url,
            "FLAME_MCP_AZURE_OPENAI_DEPLOYMENT": DEPLOYMENT,
            "FLAME_MCP_AZURE_OPENAI_API_KEY_FILE": str(tmp_path / "key"),
        }
        command = ("index", "build", "--source", str(small_docs), "--out", index, "--embedding")
        built = run(*command, "azure-openai", **environment)
        found = run("search", "--index", index, "--json", "Audio > Caching", **environment)
        incomplete = run(*command, "openai", **environment)
    assert built.exit_code == 0
    assert "at its list price" in built.stderr
    assert json.loads(found.stdout)["degraded"] is None
    assert json.loads(found.stdout)["results"][0]["title"] == "Caching"
    assert incomplete.exit_code == 2
    assert "FLAME_MCP_EMBEDDING_TYPE is OpenAI, which needs FLAME_MCP_OPENAI_MODEL" in incomplete.stderr


def test_an_index_is_published(lexical_index: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("qdrant-key")
    with qdrant_served("qdrant-key") as server:
        command = ("index", "publish", "--index", str(lexical_index), "--qdrant", server.url)
        refused = run(*command)
        published = run(*command, FLAME_MCP_QDRANT_API_KEY_FILE=str(tmp_path / "key"))
    assert (refused.exit_code, published.exit_code) == (1, 0)
    assert "check the API key" in refused.stderr
    assert published.stdout.startswith("published flame-docs__latest__")


def test_help_and_healthcheck_load_nothing_heavy() -> None:
    program = (
        "import sys; from flame_server.commands.main import main\n"
        "for arguments in (['--help'], ['healthcheck', '--port', '1']):\n"
        "    try: main(arguments)\n"
        "    except SystemExit: pass\n"
        "heavy = {'numpy', 'fastmcp', 'onnxruntime', 'qdrant_edge', 'pydantic', 'tokenizers', 'httpx'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "healthcheck" in done.stdout


def test_the_model_sends_nothing_home(tmp_path: Path) -> None:
    # Its runtime would keep a device id in the home folder and report its use over the network.
    program = "from flame_server.embedding.local import LocalEmbedder; LocalEmbedder().embed_query('x')"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert not list(tmp_path.rglob("*"))


def test_a_server_without_an_index_makes_one_first(small_docs: Path, tmp_path: Path) -> None:
    command = [*FLAME_MCP, "serve", "--source", str(small_docs)]
    folder = tmp_path / "new"
    with running(command, folder) as (process, port):
        ready(process, port)
        assert get(port, "/health/ready")[1]["index"]["chunks"] == 4
    generation = read_manifest(folder).generation
    with running(command, folder) as (process, port):
        ready(process, port)
    assert read_manifest(folder).generation == generation


def test_the_users_cache_is_where_the_index_is_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FLAME_MCP_INDEX_DIR", raising=False)
    assert Settings().index_dir == tmp_path / "flame-mcp" / "index"
