"""The tools beside the search: pages, lists, cursors, and the names that models give to arguments."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.exceptions import ToolError
from mcp import MCPError

from flame_server.docs.myst.markdown import fences_are_closed
from flame_server.index.build import build_index
from flame_server.search.local import open_searcher
from flame_server.serving.app import create_server
from flame_server.settings import Settings
from flame_server.text.wordpiece import TokenCounter, load_tokenizer

LONG = (
    "# Long\n\nIntro.\n\n## Code\n\n```dart\n" + "".join(f"final x{n} = {n};\n" for n in range(900)) + "```\n"
)


@pytest.fixture
async def client(lexical_index: Path) -> AsyncIterator[Client[Any]]:
    async with Client(create_server(open_searcher(lexical_index, "None"), Settings())) as connected:
        yield connected


@pytest.fixture
async def long(tmp_path: Path) -> AsyncIterator[Client[Any]]:
    docs = tmp_path / "docs" / "flame"
    docs.mkdir(parents=True)
    (docs / "long.md").write_text(LONG)
    for number in range(60):
        (docs / f"page_{number:02}.md").write_text(f"# Page {number}\n\nA camera, number {number}.\n")
    build_index(str(tmp_path / "docs"), tmp_path / "index", embedding="none", report=lambda _: None)
    async with Client(create_server(open_searcher(tmp_path / "index", "None"), Settings())) as connected:
        yield connected


async def call(client: Client[Any], tool: str, **arguments: object) -> dict[str, Any]:
    content = (await client.call_tool(tool, arguments)).structured_content
    assert content is not None
    return content


async def all_of(client: Client[Any], tool: str, **arguments: object) -> list[dict[str, Any]]:
    answers = [await call(client, tool, **arguments)]
    while cursor := answers[-1]["next_cursor"]:
        answers.append(await call(client, tool, cursor=cursor, **arguments))
    return answers


@pytest.mark.parametrize(
    "path",
    [
        "flame/camera.md",
        "flame/camera",
        "/flame/camera.md",
        "doc/flame/camera.md",
        "https://docs.flame-engine.org/latest/flame/camera.html",
        "https://docs.flame-engine.org/1.38.0/flame/camera.html",
        "flame://latest/flame/camera.md",
    ],
)
async def test_a_page_by_whatever_names_it(client: Client[Any], path: str) -> None:
    page = await call(client, "get_flame_page", path=path)
    assert page["content"].startswith("# Camera\n\n")
    assert "\n\n## Viewport\n\nStatic components" in page["content"]
    assert (page["source_path"], page["version"], page["truncated"]) == ("flame/camera.md", "latest", False)
    assert page["url"] == "https://docs.flame-engine.org/latest/flame/camera.html"


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "flame/camera.md", "section": "Viewport"},
        {"path": "flame/camera.md", "section": "#viewport"},
        {"path": "https://docs.flame-engine.org/latest/flame/camera.html#viewport"},
    ],
)
async def test_one_section_of_a_page(client: Client[Any], arguments: dict[str, str]) -> None:
    page = await call(client, "get_flame_page", **arguments)
    assert page["title"] == "Viewport"
    assert page["url"].endswith("camera.html#viewport")
    assert "Static components" in page["content"]
    assert "World" not in page["content"].split("\n\n")[1:]


async def test_a_long_page_is_read_in_parts(long: Client[Any]) -> None:
    parts = await all_of(long, "get_flame_page", path="flame/long.md", max_tokens=1000)
    assert len(parts) > 3
    assert all(fences_are_closed(part["content"]) for part in parts)
    assert [part["truncated"] for part in parts] == [True] * (len(parts) - 1) + [False]
    said = "\n".join(part["content"] for part in parts)
    assert [f"final x{n} = {n};" in said for n in range(900)] == [True] * 900
    assert said.count("final x500 = 500;") == 1


async def test_answers_go_on_where_the_limit_or_the_budget_stopped_them(long: Client[Any]) -> None:
    answers = await all_of(long, "get_flame_knowledge", query="camera number", limit=7)
    ids = [result["id"] for answer in answers for result in answer["results"]]
    assert len(ids) == len(set(ids)) == 60
    narrow = await all_of(long, "get_flame_knowledge", query="final x5", limit=1, max_tokens=500)
    said = "\n".join(result["content"] for answer in narrow for result in answer["results"])
    assert said.count("final x899 = 899;") == 1


async def test_the_list_says_what_there_is(client: Client[Any], long: Client[Any]) -> None:
    listing = await call(client, "list_flame_docs")
    assert listing["versions"] == ["latest"]
    assert listing["sections"] == {"bridge": 1, "flame": 1}
    assert {page["path"] for page in listing["pages"]} == {"bridge/audio.md", "flame/camera.md"}
    assert listing["next_cursor"] is None
    assert [page["path"] for page in (await call(client, "list_flame_docs", section="bridge"))["pages"]] == [
        "bridge/audio.md"
    ]
    parts = await all_of(long, "list_flame_docs", max_tokens=500)
    paths = [page["path"] for part in parts for page in part["pages"]]
    assert len(parts) > 1
    assert len(paths) == len(set(paths)) == 61


async def test_pages_are_resources(client: Client[Any]) -> None:
    (template,) = await client.list_resource_templates()
    assert template.uri_template == "flame://{version}/{path*}"
    (content,) = await client.read_resource("flame://latest/flame/camera.md")
    assert content.mime_type == "text/markdown"
    assert content.text.startswith("# Camera")  # type: ignore[union-attr]  # a text, as its type says
    with pytest.raises(MCPError, match="there is no page"):
        await client.read_resource("flame://latest/flame/none.md")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_flame_knowledge", {"question": "viewport", "maxTokens": "600", "top_k": "2"}),
        ("get_flame_knowledge", {"userQuery": "viewport", "num_results": 2}),
        ("get_flame_page", {"url": "flame/camera.md", "heading": "Viewport"}),
        ("list_flame_docs", {"category": "flame"}),
    ],
)
async def test_arguments_as_models_send_them(
    client: Client[Any], tool: str, arguments: dict[str, object]
) -> None:
    answer = await call(client, tool, **arguments)
    assert "Static components" in json.dumps(answer) or answer["pages"]


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("get_flame_knowledge", {"query": "a", "question": "b"}, "question: there is no such argument"),
        ("get_flame_knowledge", {"query": "a", "cursor": "xx"}, "not one of this server"),
        ("get_flame_knowledge", {"query": "a", "cursor": "é"}, "not one of this server"),
        ("get_flame_knowledge", {"query": "a", "cursor": "W" * 100_000}, "not one of this server"),
        ("get_flame_knowledge", {"query": "a", "max_tokens": 10_001}, "give 500 to 10000"),
        ("get_flame_page", {"path": "flame/camra.md"}, "the closest are flame/camera.md"),
        ("get_flame_page", {"path": "camera"}, "the closest are flame/camera.md"),
        ("get_flame_page", {"path": "../../etc/passwd"}, "there is no page"),
        ("get_flame_page", {"path": "\0"}, "there is no page"),
        ("get_flame_page", {"path": "http://[::1"}, "there is no page"),
        ("get_flame_page", {"path": " "}, "path is empty"),
        ("get_flame_page", {"path": "x" * 10_000}, "may have 300 characters"),
        ("get_flame_page", {"path": "flame/camera.md", "section": "Nothing"}, "give one of Camera; Viewport"),
        ("get_flame_page", {"path": "flame/camera.md", "version": "9"}, "no version '9': give one of latest"),
        ("get_flame_page", {"path": "flame://9/flame/camera.md"}, "no version '9': give one of latest"),
        ("list_flame_docs", {"section": "x"}, "no section 'x': give one of bridge, flame"),
        ("list_flame_docs", {"path": "x"}, "path: there is no such argument, there are version"),
    ],
)
async def test_mistakes_are_explained(
    client: Client[Any], tool: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ToolError) as refused:
        await client.call_tool(tool, arguments)
    assert message in str(refused.value)


async def test_a_cursor_is_for_its_question_only(long: Client[Any], client: Client[Any]) -> None:
    cursor = (await call(long, "get_flame_knowledge", query="camera"))["next_cursor"]
    assert cursor
    for other, arguments in (
        (long, {"query": "world"}),
        (long, {"query": "camera", "section": "flame"}),
        (client, {"query": "camera"}),
    ):
        with pytest.raises(ToolError, match="belongs to other arguments"):
            await call(other, "get_flame_knowledge", cursor=cursor, **arguments)
    with pytest.raises(ToolError, match="belongs to other arguments"):
        await call(long, "list_flame_docs", cursor=cursor)


async def test_what_the_tools_say_of_themselves_is_short(client: Client[Any]) -> None:
    count = TokenCounter(load_tokenizer())
    tools = await client.list_tools()
    listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert sum(count(json.dumps(tool)) for tool in listed) < 3500
    assert sum(len(tool["description"]) for tool in listed) < 500
