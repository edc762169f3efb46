from collections.abc import Mapping

import pytest

from flame_server.docs.directives import render
from flame_server.docs.markdown import split_blocks


def no_dartdoc(options: Mapping[str, str]) -> str:
    return f"docs of {options['symbol']}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("```{note}\nMind `this`.\n```", "**Note:** Mind `this`."),
        (":::{warning}\nHot.\n:::", "**Warning:**\n\nHot."),
        ("```{seealso}\n- one\n- two\n```", "**See also:**\n\n- one\n- two"),
        ("```{deprecated} v1.3.0\nUse that.\n```", "**Deprecated v1.3.0:** Use that."),
        ("before\n\n```{toctree}\n:hidden:\n\nA <a.md>\n```\n\nafter", "before\n\n\n\nafter"),
        (
            "```{flutter-app}\n:sources: ../x\n:page: drag\n```",
            "(The docs page runs a live example here: drag.)",
        ),
        (":::{package} flame_audio\n\nPlays sound.\n:::", "**flame_audio:**\n\n\nPlays sound."),
        ("``` {mermaid}\n%%{init: x}%%\ngraph TD\nA-->B\n```", "```mermaid\ngraph TD\nA-->B\n```"),
        ("```{code-block} dart\n:linenos:\nrun();\n```", "```dart\nrun();\n```"),
        ("```{dartdoc}\n:package: flame\n:symbol: Foo\n```", "docs of Foo"),
        (
            "```{list-table}\n* - a\n  - b\n* - `1`\n  - two\n    lines\n```",
            "| a | b |\n| --- | --- |\n| `1` | two lines |",
        ),
        (
            "a <!-- gone --> b\n\n<!--\ngone\n-->\n\n```html\n<!-- stays -->\n```",
            "a  b\n\n\n\n```html\n<!-- stays -->\n```",
        ),
        ("See {ref}`the line <DialogueLine>`.\n\n(target)=\nx", "See the line.\n\nx"),
        ("A [link][l].\n\n[l]: https://x.dev", "A [link][l]."),
        ("```dart\nopen();", "```dart\nopen();\n```"),
        ("- item\n  ```dart\n  a\n\n  b\n  ```\n", "- item\n\n  ```dart\n  a\n\n  b\n  ```"),
        ("> ```dart\n> a\n> ```", "> ```dart\n> a\n> ```"),
        ("text\n\n    indented();\n", "text\n\n\n```\nindented();\n```"),
        ("```{note}\nOuter.\n\n~~~dart\ninner();\n~~~\n```", "**Note:** Outer.\n\n\n```dart\ninner();\n```"),
    ],
)
def test_construct_becomes_plain_markdown(source: str, expected: str) -> None:
    # How many blank lines there are between blocks does not matter.
    assert split_blocks(render(source, no_dartdoc)) == split_blocks(expected)


def test_a_page_of_unclosed_comments_takes_no_quadratic_time() -> None:
    text = "x " + "<!-- " * 100_000
    assert render(text, no_dartdoc) == text.rstrip()
