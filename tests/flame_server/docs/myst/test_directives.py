from collections.abc import Mapping

import pytest

from flame_server.docs.myst.directives import Context, render
from flame_server.docs.myst.markdown import split_blocks


def dartdoc(options: Mapping[str, str], references: Mapping[str, str]) -> str:
    return f"docs of {options['symbol']}" + "".join(f" [{label.lower()}]" for label in references)


CONTEXT = Context(dartdoc=dartdoc)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("```{note}\nMind `this`.\n```", "**Note:** Mind `this`."),
        (":::{warning}\nHot.\n:::", "**Warning:** Hot."),
        ("```{seealso}\n- one\n- two\n```", "**See also:**\n\n- one\n- two"),
        ("```{deprecated} v1.3.0\nUse that.\n```", "**Deprecated v1.3.0:** Use that."),
        ("before\n\n```{toctree}\n:hidden:\n\nA <a.md>\n```\n\nafter", "before\n\n\n\nafter"),
        (
            "```{flutter-app}\n:sources: ../x\n:page: drag\n```",
            "(The docs page runs a live example here: drag.)",
        ),
        (":::{package} flame_audio\n\nPlays sound.\n:::", "**flame_audio:** Plays sound."),
        ("``` {mermaid}\n%%{init: x}%%\ngraph TD\nA-->B\n```", "```mermaid\ngraph TD\nA-->B\n```"),
        ("```{code-block} dart\n:linenos:\nrun();\n```", "```dart\nrun();\n```"),
        ("```{dartdoc}\n:package: flame\n:symbol: Foo\n```", "docs of Foo"),
        (
            "```{list-table}\n* - a\n  - b\n* - `1`\n  - two\n    lines\n```",
            "| a | b |\n| --- | --- |\n| `1` | two lines |",
        ),
        (
            "a <!-- gone --> b `<!-- stays -->`\n\n<!--\ngone\n-->\n\n```html\n<!-- stays -->\n```",
            "a  b `<!-- stays -->`\n\n\n\n```html\n<!-- stays -->\n```",
        ),
        ("A [link][l].\n\n[l]: https://x.dev", "A [link](https://x.dev)."),
        ("(target)=\nx\n\n% a remark\n\n+++\ny", "x\n\ny"),
        (":::{package} one [WIP]\n\nA.\n\n:::{package} two\nB.\n:::", "**one [WIP]:** A.\n\n**two:** B."),
        ("::::{note}\n:::{tip}\nIn.\n:::\n::::", "**Note:** **Tip:** In."),
        ("- item\n\n  :::{note}\n  In.\n  :::", "- item\n\n  **Note:** In."),
        ("````{note}\n```{warning}\nIn.\n```\n````", "**Note:** **Warning:** In."),
        ("```{note}\n---\nclass: wide\n---\nText.\n```", "**Note:** Text."),
        ("```{admonition} Mind\nText.\n```", "**Mind:** Text."),
        (":::{container} wide\nText.\n:::", "Text."),
        ("```{dropdown} More\nText.\n```", "**More:** Text."),
        ("```{image} a.png\n:alt: A cat\n```", "![](a.png)"),
        ("```{figure} a.png\n\nA *cat*\n```", "![](a.png)\n\nA *cat*"),
        ("```{math}\nx^2\n```", "```latex\nx^2\n```"),
        ("```{csv-table}\na,b\n```", "```csv\na,b\n```"),
        ("```{eval-rst}\n.. note:: x\n```", "```rst\n.. note:: x\n```"),
        ("```{raw} html\n<b>x</b>\n```\n\ny", "y"),
        ("```{include} gone.md\n```\n\ny", "y"),
        ("```{dartdoc}\n:symbol: Foo\n\n[L]: https://l.dev\n```", "docs of Foo [l](https://l.dev)"),
        ("| a | b |\n| - | - |\n| [x](https://x.dev) | `[y](z)` |", None),
        (
            '<div align="center">\n  <a href="https://x.dev"><img alt="logo" src="l.png"></a>\n</div>',
            "[](https://x.dev)",
        ),
        ("<style>\n.x {}\n</style>\n\ntext", "text"),
        ("```dart\nopen();", "```dart\nopen();\n```"),
        ("- item\n  ```dart\n  a\n\n  b\n  ```\n", "- item\n\n  ```dart\n  a\n\n  b\n  ```"),
        ("> ```dart\n> a\n> ```", "> ```dart\n> a\n> ```"),
        ("text\n\n    indented();\n", "text\n\n\n```\nindented();\n```"),
        ("```{note}\nOuter.\n\n~~~dart\ninner();\n~~~\n```", "**Note:** Outer.\n\n\n```dart\ninner();\n```"),
    ],
)
def test_construct_becomes_plain_markdown(source: str, expected: str | None) -> None:
    # How many blank lines there are between blocks does not matter.
    assert split_blocks(render(source, CONTEXT)) == split_blocks(expected or source)


def test_a_page_of_unclosed_comments_takes_no_quadratic_time() -> None:
    text = "x " + "<!-- " * 100_000
    assert render(text, CONTEXT) == text.rstrip()


def test_a_doc_comment_that_quotes_itself_comes_to_an_end() -> None:
    def endless(options: Mapping[str, str], references: Mapping[str, str]) -> str:
        del options, references
        return "again\n\n```{dartdoc}\n:symbol: X\n```"

    text = render("```{dartdoc}\n:symbol: X\n```", Context(dartdoc=endless))
    assert 5 < text.count("again") < 20


def test_directives_in_directives_come_to_an_end() -> None:
    levels = 400
    text = "\n".join("`" * (levels + 3 - n) + "{note}" for n in range(levels))
    assert "**Note:**" in render(f"{text}\nIn.", CONTEXT)
