"""The page for people in a real browser, over a real server process."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from flame_server.index.build import build_index
from tests.harness.errors import HarnessError
from tests.harness.packages import BROWSER, require
from tests.support.server.server_process import FLAME_MCP, free_port, get, ready, running, wait_for

# Installing the browser counts for the first test.
pytestmark = pytest.mark.timeout(600)

HOSTILE = """# Trap <img src=x onerror="window.trapped=1">

`<script>window.trapped = 1</script>` `<img src=x onerror="window.trapped=1">` viewport

```html
<svg onload="window.trapped=1">
```
"""
Open = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        require(BROWSER)
    except HarnessError as error:
        pytest.skip(f"no chromium: {error}")
    with sync_playwright() as playwright:
        # Root has no sandbox; the browser sees nothing but pages from here.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=sandbox)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def server(lexical_index: Path) -> Iterator[str]:
    """The address of a server that anybody may ask."""
    with running([*FLAME_MCP, "serve"], lexical_index) as (process, port):
        ready(process, port)
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def opened(browser: Browser) -> Open:
    """Opens an address; nothing may go wrong on the page, and nobody else may be asked."""

    @contextmanager
    def page_at(url: str, refused: tuple[int, ...] = (), width: int = 1200, **options: Any) -> Iterator[Page]:  # noqa: ANN401
        context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": 900},
            permissions=["clipboard-read", "clipboard-write"],
            **options,
        )
        page = context.new_page()
        faults: list[str] = []
        asked: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        try:
            yield page
        finally:
            context.close()
        # Chromium reports each answer of 400 and more.
        expected = [f"the server responded with a status of {status} " for status in refused]
        assert [fault for fault in faults if not any(text in fault for text in expected)] == []
        assert asked
        assert [one for one in asked if not one.startswith((url, "data:"))] == []

    return page_at


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Search").click()


def test_it_tells_what_the_server_knows(opened: Open, server: str) -> None:
    with opened(server) as page:
        expect(page.locator("#state")).to_have_text("Ready")
        facts = page.locator("#facts").inner_text()
        assert re.search(r"Pages\s+2\s", facts)
        assert re.search(r"Passages\s+4\s", facts)
        assert re.search(r"Docs version\s+latest\s", facts)
        assert re.search(r"Embedding\s+none, by words only\s", facts)
        assert re.search(r"Server\s+flame-mcp 0\.", facts)
        assert page.get_by_label("Token").is_hidden()


def test_a_search_shows_what_a_model_gets(opened: Open, server: str) -> None:
    with opened(server) as page:
        with page.expect_response("**/mcp") as asked:
            ask(page, "viewport")
        expected = asked.value.json()["result"]["structuredContent"]["results"]
        first = page.locator("#results li").first
        expect(first.get_by_role("link", name="Viewport")).to_have_attribute("href", expected[0]["url"])
        expect(first).to_contain_text("Camera › Viewport")  # noqa: RUF001 - as shown
        expect(first).to_contain_text("flame/camera.md")
        expect(first.locator(".prose").first).to_be_visible()
        expect(first.locator("pre code")).to_have_text("# not a heading\ncamera.viewport.add(Hud());")
        assert page.locator("#results li").count() == len(expected)
        expect(page.get_by_text(re.compile(r"passages? in \d+ ms"))).to_be_visible()
        assert page.locator(".flag").count() == 0
        page.get_by_text("The answer as JSON").click()
        shown = json.loads(page.locator("#raw code").inner_text())
        assert shown["results"] == expected


def test_flags_of_an_answer_are_shown(opened: Open, server: str) -> None:
    answer = {"results": [], "degraded": "lexical", "truncated": True}
    body = {"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": answer}}
    with opened(server) as page:
        page.route("**/mcp", lambda route: route.fulfill(json=body))
        ask(page, "viewport")
        expect(page.locator("#summary")).to_contain_text("Nothing found in")
        expect(page.locator(".flag").first).to_contain_text("degraded: lexical")
        expect(page.locator(".flag").last).to_contain_text("truncated")


def test_hostile_docs_are_text(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "trap.md").write_text(HOSTILE)
    build_index(str(tmp_path / "docs"), tmp_path / "index", embedding="none", report=lambda _: None)
    with running([*FLAME_MCP, "serve"], tmp_path / "index") as (process, port):
        ready(process, port)
        with opened(f"http://127.0.0.1:{port}/") as page:
            ask(page, "viewport")
            expect(page.locator(".prose").first).to_contain_text("<script>window.trapped = 1</script>")
            expect(page.locator("pre code").first).to_have_text('<svg onload="window.trapped=1">')
            assert page.locator("#results :is(script, img, svg)").count() == 0
            assert page.evaluate("window.trapped") is None


def test_a_hostile_server_answer_is_text_and_no_link(opened: Open, server: str) -> None:
    result = {
        "title": "<b>t</b>",
        "breadcrumb": ["<i>c</i>"],
        "url": "javascript:window.trapped=1",
        "source_path": "<u>p</u>",
        "content": "<img src=x onerror=window.trapped=1>",
        "score": 1,
    }
    body = {"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": {"results": [result]}}}
    with opened(server) as page:
        page.route("**/mcp", lambda route: route.fulfill(json=body))
        ask(page, "viewport")
        expect(page.locator("#results h3")).to_have_text("1. <b>t</b>")
        assert page.locator("#results :is(a, b, i, u, img)").count() == 0
        assert page.evaluate("window.trapped") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_settings_name_the_address_that_the_browser_sees(opened: Open, server: str, host: str) -> None:
    address = server.replace("127.0.0.1", host)
    url = f"{address}mcp"
    with opened(address) as page:
        settings = {
            one.locator("summary").inner_text(): one.locator("code").text_content() or ""
            for one in page.locator("#clients details").all()
        }
        page.locator("#clients details").first.get_by_role("button").click()
        expect(page.locator("#copied")).to_have_text("Settings for Claude Code copied")
        copied = page.evaluate("navigator.clipboard.readText()")
    assert settings["Claude Code"] == copied == f"claude mcp add --transport http flame {url}"
    assert json.loads(settings["Cursor"]) == {"mcpServers": {"flame": {"url": url}}}
    assert json.loads(settings["VS Code"]) == {"servers": {"flame": {"type": "http", "url": url}}}
    assert json.loads(settings["Gemini CLI"]) == {"mcpServers": {"flame": {"httpUrl": url}}}
    assert settings["Codex"] == f'[mcp_servers.flame]\nurl = "{url}"'
    desktop = json.loads(settings["Claude Desktop"])["mcpServers"]["flame"]
    assert (desktop["command"], desktop["args"]) == (
        "npx",
        ["-y", "mcp-remote", url, "--transport", "http-only"],
    )


def test_without_a_clipboard_the_settings_are_copied_all_the_same(opened: Open, server: str) -> None:
    with opened(server) as page:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.locator("#clients details").first.get_by_role("button").click()
        expect(page.locator("#copied")).to_have_text("Settings for Claude Code copied")
        assert page.evaluate("getSelection().toString()").startswith("claude mcp add")


def test_a_closed_server_is_asked_with_a_token_that_is_not_kept(
    opened: Open, lexical_index: Path, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    settings = {"AUTH_TYPE": "Bearer", "AUTH_TOKEN_FILE": str(tmp_path / "token")}
    with running([*FLAME_MCP, "serve"], lexical_index, **settings) as (process, port):
        ready(process, port)
        with opened(f"http://127.0.0.1:{port}/", refused=(401,)) as page:
            expect(page.locator("#state")).to_have_text("Ready")
            shown = [one.text_content() or "" for one in page.locator("#clients code").all()]
            assert all("YOUR_TOKEN" in one or "FLAME_DOCS_TOKEN" in one or "input:" in one for one in shown)
            ask(page, "viewport")
            expect(page.locator("#error")).to_contain_text("wants a valid token (401)")
            expect(page.get_by_label("Token")).to_be_focused()
            page.get_by_label("Token").fill("s3cret")
            page.keyboard.press("Enter")
            expect(page.locator("#results li").first).to_contain_text("Viewport")
            expect(page.locator("#error")).to_be_hidden()
            assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [
                0,
                0,
                "",
            ]
            assert "s3cret" not in page.content()
            page.reload()
            assert page.get_by_label("Token").input_value() == ""


def test_refusals_are_told_in_words(opened: Open, lexical_index: Path) -> None:
    settings = {"RATE_LIMIT_PER_MINUTE": "1", "RATE_LIMIT_BURST": "2"}
    with running([*FLAME_MCP, "serve"], lexical_index, **settings) as (process, port):
        ready(process, port)
        with opened(f"http://127.0.0.1:{port}/", refused=(429, 502)) as page:
            ask(page, "   ")
            expect(page.locator("#error")).to_have_text("query is empty: say what to look for")
            ask(page, "viewport")
            expect(page.locator("#results li").first).to_be_visible()
            ask(page, "viewport")
            expect(page.locator("#error")).to_contain_text("Too many questions (429): try again in")
            assert page.locator("#results li").count() == 0
            # What stands before the server may answer in a language of its own.
            page.route("**/mcp", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
            ask(page, "viewport")
            expect(page.locator("#error")).to_have_text("The server refused (502): Bad Gateway")


def test_a_missing_index_is_told_and_noticed_when_it_is_there(opened: Open, lexical_index: Path) -> None:
    settings = {
        "VECTOR_STORE_TYPE": "Qdrant",
        "QDRANT_URL": f"http://127.0.0.1:{free_port()}",
        "QDRANT_COLLECTION": "docs",
    }
    with running([*FLAME_MCP, "serve"], lexical_index, **settings) as (_, port):
        wait_for(lambda: get(port, "/health")[0] == 200, "server")
        with opened(f"http://127.0.0.1:{port}/", refused=(503,)) as page:
            expect(page.locator("#state")).to_have_text("Not ready")
            expect(page.locator("#problem")).to_contain_text("Questions cannot be answered now: ")
            ask(page, "viewport")
            expect(page.locator("#error")).to_contain_text("Qdrant")
            index = {
                "version": "v1",
                "documents": 1234,
                "chunks": 5,
                "revision": None,
                "created": "",
                "embedding": "x",
            }
            page.route(
                "**/health/ready", lambda route: route.fulfill(json={"status": "ready", "index": index})
            )
            expect(page.locator("#state")).to_have_text("Ready", timeout=20_000)
            expect(page.locator("#problem")).to_be_hidden()
            expect(page.locator("[data-fact=documents]")).to_have_text("1,234")


def test_it_works_by_keyboard_alone(opened: Open, server: str) -> None:
    with opened(server) as page:
        for name in ("query", "limit", "go"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.id") == name
            if name == "query":
                page.keyboard.type("viewport")
            elif name == "limit":
                page.keyboard.type("1")
        page.keyboard.press("Enter")
        expect(page.locator("#results li")).to_have_count(1)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Viewport"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#results details")).not_to_have_attribute("open", "")
        # The answer as JSON, the first assistant, its button, the second assistant.
        for _ in range(4):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#clients details").nth(1)).to_have_attribute("open", "")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_phone_has_no_horizontal_scrolling(opened: Open, server: str) -> None:
    with opened(server, width=320, is_mobile=True, has_touch=True) as page:
        ask(page, "viewport")
        expect(page.locator("#results li").first).to_be_visible()
        for summary in page.locator("#results summary, #raw summary, #clients summary").all():
            summary.click()
            assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(opened: Open, server: str, scheme: str) -> None:
    with opened(server, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True) as page:
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground))) < 150) == (scheme == "dark")
        ask(page, "viewport")
        expect(page.locator("#results li").first).to_be_visible()
        assert _violations(page) == []
        assert page.evaluate("document.getAnimations().length") == 0


def _violations(page: Page) -> list[Any]:
    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found]
