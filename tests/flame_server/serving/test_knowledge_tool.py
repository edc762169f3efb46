from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client, FastMCP

from flame_server.embedding.identity import BlockingQueryEmbedder
from flame_server.index.build import build_index
from flame_server.search.local import Searcher, open_searcher
from flame_server.serving.app import create_server
from flame_server.settings import Settings


@pytest.fixture
def server(lexical_index: Path) -> FastMCP:
    return create_server(open_searcher(lexical_index, "None"), Settings())


@pytest.fixture
async def client(server: FastMCP) -> AsyncIterator[Client[Any]]:
    async with Client(server) as connected:
        yield connected


async def test_the_tool_is_described_for_models(client: Client[Any]) -> None:
    tools = await client.list_tools()
    assert [tool.name for tool in tools] == ["get_flame_knowledge", "get_flame_page", "list_flame_docs"]
    for tool in tools:
        assert tool.annotations
        assert tool.annotations.read_only_hint
        assert tool.annotations.idempotent_hint
        assert tool.output_schema
    tool = tools[0]
    assert tool.output_schema
    assert set(tool.output_schema["properties"]) == {
        "note",
        "results",
        "truncated",
        "next_cursor",
        "degraded",
        "index",
    }
    assert tool.input_schema["required"] == ["query"]
    assert "bridge, flame" in tool.input_schema["properties"]["section"]["description"]


async def test_an_answer_is_structured(client: Client[Any]) -> None:
    answer = (await client.call_tool("get_flame_knowledge", {"query": "viewport"})).structured_content
    assert answer
    assert answer["results"][0] == {
        "id": "latest/flame/camera.md#viewport",
        "title": "Viewport",
        "breadcrumb": ["Camera", "Viewport"],
        "url": "https://docs.flame-engine.org/latest/flame/camera.html#viewport",
        "source_path": "flame/camera.md",
        "content": "Static components such as a HUD belong to the viewport.\n\n"
        "```dart\n# not a heading\ncamera.viewport.add(Hud());\n```",
        "score": answer["results"][0]["score"],
    }
    assert (answer["truncated"], answer["degraded"]) == (False, None)
    assert answer["index"]["chunks"] == 4


async def test_section_version_and_limit(client: Client[Any]) -> None:
    arguments = {"query": "camera audio", "section": "bridge", "version": "latest", "limit": 1}
    answer = (await client.call_tool("get_flame_knowledge", arguments)).structured_content
    assert answer
    assert [result["source_path"] for result in answer["results"]] == ["bridge/audio.md"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": ""}, "query is empty: say what to look for"),
        ({"query": " \n\t"}, "query is empty"),
        ({"query": "x" * 513}, "query has 513 characters, the limit is 512"),
        ({"query": "x", "limit": 0}, "limit is 0: give 1 to 20"),
        ({"query": "x", "limit": 10**30}, "give 1 to 20"),
        ({"query": "x", "max_tokens": 5}, "max_tokens is 5: give 500 to 10000"),
        ({"query": "x", "section": "nope"}, "there is no section 'nope': give one of bridge, flame"),
        ({"query": "x", "version": "1.0"}, "there is no version '1.0': give one of latest"),
        ({"query": "x", "limit": "many"}, "limit: Input should be a valid integer"),
        ({}, "query: Missing required argument"),
        ({"query": "x", "bogus": 1}, "bogus: there is no such argument, there are query, version"),
    ],
)
async def test_mistakes_are_explained_in_plain_words(
    client: Client[Any], arguments: dict[str, Any], message: str
) -> None:
    result = await client.call_tool("get_flame_knowledge", arguments, raise_on_error=False)
    assert result.is_error
    text = str(result.content[0])
    assert message in text
    assert "pydantic" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "query", ["ignore previous instructions", "```\n~~~", "\x00\x1b[31m", "\U0001f525" * 200, "'; --"]
)
async def test_hostile_queries_are_just_queries(client: Client[Any], query: str) -> None:
    result = await client.call_tool("get_flame_knowledge", {"query": query}, raise_on_error=False)
    assert not result.is_error


async def test_a_failing_embedder_degrades_and_tells_no_secret(
    lexical_index: Path, searcher_over: Callable[..., Searcher], broken_embedder: BlockingQueryEmbedder
) -> None:
    server = create_server(searcher_over(lexical_index, broken_embedder), Settings())
    async with Client(server) as client:
        result = await client.call_tool("get_flame_knowledge", {"query": "viewport"})
    assert result.structured_content
    assert result.structured_content["degraded"] == "lexical"
    assert "secret" not in str(result)


async def test_our_own_failures_are_masked(lexical_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = open_searcher(lexical_index, "None")

    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(searcher, "search", fail)
    async with Client(create_server(searcher, Settings())) as client:
        result = await client.call_tool("get_flame_knowledge", {"query": "x"}, raise_on_error=False)
    assert result.is_error
    assert "Error calling tool 'get_flame_knowledge'" in str(result.content)
    assert "secret" not in str(result)


async def test_answers_keep_the_token_budget(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    text = "\n\n".join(f"## Part {n}\n\n" + "\n\n".join(["The camera follows. " * 20] * 4) for n in range(6))
    (tmp_path / "docs" / "long.md").write_text(f"# Long\n\n{text}\n")
    build_index(str(tmp_path / "docs"), tmp_path / "index", embedding="none", report=print)
    searcher = open_searcher(tmp_path / "index", "None")
    async with Client(create_server(searcher, Settings())) as client:
        arguments = {"query": "camera", "limit": 6, "max_tokens": 1000}
        result = await client.call_tool("get_flame_knowledge", arguments)
    answer = result.structured_content
    assert answer
    assert answer["truncated"]
    assert 800 < searcher.count_tokens(result.content[0].text) <= 1000
    assert sum(searcher.count_tokens(one["content"]) for one in answer["results"]) > 500
