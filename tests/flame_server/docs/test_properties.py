"""What holds for every page that can be written, not only for those of Flame."""

import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from flame_server.docs.folder import Page
from flame_server.docs.myst.markdown import clean, fences_are_closed, split_blocks
from flame_server.docs.sections import Chunk, chunks_of, passages, sections_of
from flame_server.docs.site import Site

# Words that a reader must find again wherever they stand; w0w, w1w...
words = st.integers(0, 10**6).map(lambda number: f"w{number}w")
DIRECTIVES = ["note", "warning", "seealso", "admonition", "deprecated", "dropdown", "package", "tab-item"]


@st.composite
def inline(draw: st.DrawFn) -> str:
    word = draw(words)
    shapes = [
        "{}",
        "*{}*",
        "`{}`",
        "[{}](x.md)",
        "[{}][r]",
        "{{ref}}`{} <t>`",
        "<kbd>{}</kbd>",
        "{}<!-- c -->",
    ]
    return draw(st.sampled_from(shapes)).format(word)


paragraphs = st.lists(inline(), min_size=1, max_size=5).map(" ".join)
code = st.builds(
    lambda ticks, word, odd: f"{ticks}dart\n{word}\n{odd}\n\n# {word}\n{ticks}",
    st.sampled_from(["```", "````", "~~~"]),
    words,
    st.sampled_from(["", ":::", "``", "{note}", "(a)="]),
)
tables = st.builds("| {} | b |\n| - | - |\n| c | {} |".format, inline(), inline())
dropped = st.sampled_from(["```{toctree}\nx\n```", "(label)=", "% remark", "+++", "<!-- c -->", "[r]: x.md"])


def in_directive(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def wrapped(name: str, colons: bool, body: str) -> str:
        mark = ":" if colons else "`"
        longest = max((len(run) for run in re.findall(f"{mark}+", body)), default=2)
        fence = mark * max(longest + 1, 3)
        return f"{fence}{{{name}}}\n{body}\n{fence}"

    return st.builds(wrapped, st.sampled_from(DIRECTIVES), st.booleans(), inner)


def in_list(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return inner.map(lambda body: "- " + body.replace("\n", "\n  "))


def in_quote(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return inner.map(lambda body: "> " + body.replace("\n", "\n> "))


leaves = st.one_of(paragraphs, code, tables, dropped)
blocks = st.recursive(
    leaves,
    lambda inner: st.one_of(
        in_directive(inner),
        in_list(inner),
        in_quote(inner),
        st.lists(inner, min_size=1, max_size=3).map("\n\n".join),
    ),
    max_leaves=8,
)
headings = st.builds("{} {}".format, st.sampled_from(["#", "##", "###"]), inline())
pages = st.lists(st.one_of(headings, blocks), max_size=12).map("\n\n".join)


def chunks(text: str) -> list[Chunk]:
    page = Page("flame/page.md", clean(text))
    site = Site("latest", [page, Page("flame/x.md", "# X\n")])
    return list(chunks_of(page.path, sections_of(page, site, lambda *_: ""), site))


def check_sound(found: list[Chunk]) -> None:
    for chunk in found:
        assert chunk.content.strip()
        assert chunk.title
        assert fences_are_closed(chunk.content)
        assert passages(chunk)
    assert max(Counter(chunk.id for chunk in found).values(), default=1) == 1


@given(pages)
@settings(max_examples=300, deadline=None)
def test_no_word_is_lost_and_every_chunk_is_sound(text: str) -> None:
    found = chunks(text)
    check_sound(found)
    read = "\n".join([c.content for c in found] + [name for c in found for name in c.breadcrumb])
    below = [block for block in split_blocks(text) if not block.startswith("#")]
    lost = set(re.findall(r"w\d+w", "\n".join(below))) - set(re.findall(r"w\d+w", read))
    assert not lost
    prose = "\n\n".join(block for block in split_blocks(read) if "```" not in block)
    prose = re.sub(r"(`+).+?\1", "", prose)
    assert not re.search(r":::|\{[\w-]+\}|\(label\)=|<!--|kbd|x\.md|^%|^\+\+\+", prose, re.MULTILINE)


MARKUP = ["#", "`", "~", ":", "{note}", "{", "}", "[", "]", "(", ")", "<", ">", "!", "-", "+", "%", "=", "\n",
          "\n\n", " ", "    ", "\t", "a", "1.", "*", "\\", "|", "<!--", "-->", "---\n",
          "é", "\u200d"]  # fmt: skip


@given(st.lists(st.sampled_from(MARKUP), max_size=60).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_text_gives_sound_chunks(text: str) -> None:
    check_sound(chunks(text))
