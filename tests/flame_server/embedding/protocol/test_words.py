"""What a service says is told on one short line, and never the key, an address or the query."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_server.embedding.protocol.refusals import about
from flame_server.embedding.protocol.words import MAX_WORDS, cleaned, said, word

KEY = "q7ZkPw93LmXv"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "m", "code": "c"}, "m"),
        ({"error": {"message": "m"}}, "m"),
        ({"error": "m", "error_type": "Validation"}, "m"),
        ({"message": "m", "param": "encoding_format"}, "encoding_format: m"),
        ({"message": "no input here", "param": "input"}, "no input here"),
        ({"detail": "m"}, "m"),
        (
            {"detail": [{"loc": ["body", "dimensions"], "msg": "extra"}, {"loc": ["body", 0], "msg": "n"}]},
            "body.dimensions: extra; body.0: n",
        ),
        ("plain text", "plain text"),
        ("  <!doctype html><p>x", ""),
        (None, ""),
        (7, ""),
        ([], ""),
        ({"message": None}, ""),
        ({"message": {"a": "b"}}, ""),
    ],
    ids=repr,
)
def test_words_are_found_where_services_put_them(body: object, words: str) -> None:
    assert said(body) == words


def test_words_that_lie_deep_are_not_looked_for() -> None:
    assert not said(json.loads('{"error":' * 400 + '"x"' + "}" * 400))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("it should not be\n  larger\tthan 10.", "it should not be larger than 10."),
        ("text-embedding-3-small, BAAI/bge-large-zh-v1.5", "text-embedding-3-small, BAAI/bge-large-zh-v1.5"),
        ('it is "so"', "it is 'so'"),
        ("a\x1b[31mred\x00\u202eb", "a[31mredb"),
        ("see https://u:p@evil.example/?key=1 now", "see … now"),
        ("Incorrect API key provided: sk-proj-ab", "Incorrect API key …"),
        ("wrong sk-...abcd here", "wrong … here"),
        ("wrong ab**************cd here", "wrong … here"),
        ("Authorization: Bearer abc", "Authorization: Bearer …"),
        ("'token'='abc'", "'token …"),
        ("id 0a1b2c3d-0000-0000-0000-000000000000.", "id …"),
        ("eyJhbGciOi.x.y hf_abc gsk_abc AIzaabc", "…"),
        ("is aB3dE6gH9jK2mN5p right", "is … right"),
        ("...", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_words_are_cleaned(text: str, line: str) -> None:
    if line == "…":
        line = ""
    assert cleaned(text) == line


def test_long_words_are_cut() -> None:
    line = cleaned("too long " * 1_000)
    assert len(line) == MAX_WORDS
    assert line.endswith("…")


ECHOES = [
    KEY, f"'{KEY}'", KEY.upper(), f"{KEY[:4]}...", f"...{KEY[-4:]}", f"x{KEY[3:8]}x", f"{KEY[:6]}\n{KEY[6:]}",
    "\u200b".join(KEY), " ".join(KEY), "-".join(KEY), f"{KEY}{KEY}", f"key={KEY}",
    "".join(chr(ord(letter) + 0xFEE0) for letter in KEY),
]  # fmt: skip


@pytest.mark.parametrize("echo", ECHOES, ids=range(len(ECHOES)))
def test_our_key_is_never_told_nor_a_part_of_it(echo: str) -> None:
    line = cleaned(f"you sent {echo} and that is wrong", [KEY])
    assert not any(KEY[at : at + 4].casefold() in line.casefold() for at in range(len(KEY) - 3))
    letters = "".join(filter(str.isalnum, line.casefold()))
    assert not any(KEY[at : at + 6].casefold() in letters for at in range(len(KEY) - 5))


@given(
    st.text(), st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8), st.text()
)
def test_no_text_tells_a_key(before: str, key: str, after: str) -> None:
    line = cleaned(f"{before}{key}{after}", [key])
    assert key.casefold() not in line.casefold()
    assert len(line) <= MAX_WORDS
    assert line.isprintable()


@pytest.mark.parametrize("code", [KEY, KEY[2:8], "a b", "x" * 65, "aB3dE6gH9jK2mN5p", "", None, 7], ids=repr)
def test_a_word_that_must_not_be_told_is_none(code: object) -> None:
    assert not word(code, [KEY])


def test_a_word_is_told() -> None:
    assert word("insufficient_quota", [KEY]) == "insufficient_quota"


QUERY = "How do I hide\n  the private viewport?"


@pytest.mark.parametrize(
    "echo", [QUERY, "do I hide the private view", QUERY[:20], "the private", repr([QUERY])]
)
def test_queries_are_not_repeated(echo: str) -> None:
    line = cleaned(f"no: {echo}", texts=[QUERY])
    assert line.startswith("no:")
    assert "private" not in line
    assert "hide" not in line


def test_short_queries_are_not_repeated_either() -> None:
    assert cleaned("no: lag!", texts=["lag"]) == "no: …!"
    assert cleaned("a model", texts=["a"]) == "a model"


def test_only_long_parts_of_a_batch_count_as_repeated() -> None:
    texts = ["The batch is larger than the maximum of 10 cameras that a game may have.", "Size"]
    assert cleaned("Size: larger than the maximum", texts=texts) == "Size: larger than the maximum"
    assert cleaned(f"no: {texts[0]}", texts=texts) == "no: …"


@pytest.mark.parametrize(
    ("status", "words", "found"),
    [
        (422, "batch size 80 > maximum allowed batch size 32", "size"),
        (400, "Value error, batch size is invalid, it should not be larger than 10.: input.contents", "size"),
        (400, "'$.input' is invalid: array too long", "size"),
        (413, "", "size"),
        (400, "gemini does not support parameters: {'encoding_format': 'base64'}", "format"),
        (422, "body.encoding_format: Input should be 'float'", "format"),
        (500, "encoding_format base64 is not implemented", "format"),
        (500, "batch too large", ""),
        (400, "unknown model", ""),
        (401, "float", ""),
    ],
)
def test_what_a_refusal_is_about(status: int, words: str, found: str) -> None:
    assert about(status, words) == found
