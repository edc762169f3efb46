import pytest

from flame_server.docs.folder import Page
from flame_server.docs.myst.inline import Link, rewrite
from flame_server.docs.site import Site

CAMERA = "# Camera\n\n## Viewport\n\n(label)=\n### It's (a, b)\n\n## Viewport\n"
SITE = Site(
    "1.2",
    [
        Page("flame/camera.md", CAMERA),
        Page("flame/effects/effects.md", "# Effects\n"),
        Page("index.md", "# Home\n\n## Viewport\n"),
        Page("flame/a (b).md", "# AB\n"),
    ],
)
BASE = "https://docs.flame-engine.org/1.2/"


def resolve(destination: str) -> Link | None:
    return SITE.resolve(destination, "flame/camera.md")


@pytest.mark.parametrize(
    ("destination", "address"),
    [
        ("camera.md", "flame/camera.html"),
        ("camera", "flame/camera.html"),
        ("camera.html#viewport", "flame/camera.html#viewport"),
        ("../flame/camera.md#viewport", "flame/camera.html#viewport"),
        ("#viewport", "flame/camera.html#viewport"),
        ("#viewport-1", "flame/camera.html#id1"),
        ("#its-a-b", "flame/camera.html#its-a-b"),
        ("#label", "flame/camera.html#label"),
        ("label", "flame/camera.html#label"),
        ("#gone", "flame/camera.html"),
        ("#", "flame/camera.html"),
        ("/index.md", "index.html"),
        ("../index.md#camera", "index.html"),
        ("effects/", "flame/effects/effects.html"),
        ("effects", "flame/effects/effects.html"),
        ("a%20(b).md", "flame/a%20%28b%29.html"),
    ],
)
def test_links_to_pages_are_absolute(destination: str, address: str) -> None:
    found = resolve(destination)
    assert found
    assert found.url == BASE + address


@pytest.mark.parametrize("destination", ["gone.md", "../../x", "javascript:alert(1)", "gone", "a/b#c"])
def test_what_leads_to_no_page_is_no_link(destination: str) -> None:
    assert resolve(destination) is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("[x](camera.md)", f"[x]({BASE}flame/camera.html)"),
        ('[x\ny]( <camera.md#viewport> "T" )', f"[x\ny]({BASE}flame/camera.html#viewport)"),
        ("[](camera.md)", f"[Camera]({BASE}flame/camera.html)"),
        ("[](#viewport)s", f"[Viewport]({BASE}flame/camera.html#viewport)s"),
        ("[x][cam] [Cam]", f"[x]({BASE}flame/camera.html) [Cam]({BASE}flame/camera.html)"),
        ("[cam][] [y][no] [no]", f"[cam]({BASE}flame/camera.html) [y][no] [no]"),
        ("[<<stop>>]", f"[<<stop>>]({BASE}flame/camera.html)"),
        ("[x](https://a.b/c_(d)) <https://e.f>", "[x](https://a.b/c_(d)) <https://e.f>"),
        ("[x](gone.md) and [y](javascript:a)", "x and y"),
        ("`[x](camera.md)` ``[y](camera.md) ` ``", "`[x](camera.md)` ``[y](camera.md) ` ``"),
        (r"\[x](camera.md) \`[x](camera.md)", rf"\[x](camera.md) \`[x]({BASE}flame/camera.html)"),
        ("![a](camera.md) ![b][cam]", "![](camera.md) ![](camera.md)"),
        ("[![a](b.png)](camera.md)", f"[![](b.png)]({BASE}flame/camera.html)"),
        ("[a [b] `]` c](camera.md)", f"[a [b] `]` c]({BASE}flame/camera.html)"),
        ("- [ ] open, list[0] and f(x)[1](2)", "- [ ] open, list[0] and f(x)1"),
        ("{ref}`the label <label>`", f"[the label]({BASE}flame/camera.html#label)"),
        ("{doc}`/index` {ref}`gone` {ref}`Line <gone>`", f"[Home]({BASE}index.html) gone Line"),
        ("{kbd}`A` {math}`x` {code}`y` {no", "A `x` `y` {no"),
        ("{py:class}`Foo` set {x}", "Foo set {x}"),
        ("a <!-- [x](y) --> b <!-- open", "a  b <!-- open"),
        ("<kbd>Ctrl</kbd> a<br/>b List<int> <<jump>> <code>c</code>", "Ctrl a b List<int> <<jump>> `c`"),
        ('<a href="camera.md">x</a>', f"[x]({BASE}flame/camera.html)"),
        ('<a href="gone">y</a> <a name="z"></a>', "y "),
        ('<img src="a.png" alt="A cat">', ""),
        ("`open [x](camera.md)", f"`open [x]({BASE}flame/camera.html)"),
        ("] [ ![", "] [ !["),
    ],
)  # fmt: skip
def test_inline_markup(source: str, expected: str) -> None:
    references = {"CAM": "camera.md", "<<STOP>>": "camera.md"}
    assert rewrite(source, resolve, references) == expected


@pytest.mark.parametrize(
    "piece",
    ["[", "]", "`" * 3 + "a", "[a](", "[x](a", "<!--", "{a}`", "<a", "![", "[a]", "(", '[x](a "', "<a>"],
)
def test_hostile_inline_text_takes_no_quadratic_time(piece: str) -> None:
    # A quadratic way through this takes minutes: the timeout of the test sees it.
    text = piece * (200_000 // len(piece))
    assert len(rewrite(text, lambda _: None, {"X": "y"})) <= len(text)
