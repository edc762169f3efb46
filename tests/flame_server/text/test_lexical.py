import math

import pytest

from flame_server.text.lexical import document_vectors, query_terms, term_id, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "SpriteAnimationGroupComponent",
            ["spriteanimationgroupcomponent", "sprite", "anim", "group", "compon"],
        ),
        ("onTapDown(event)", ["ontapdown", "tap", "down", "event"]),
        ("Anchor.center", ["anchor.center", "anchor", "center"]),
        ("snake_case_name", ["snake_case_name", "snake", "case", "name"]),
        ("HTTPServer2", ["httpserver2", "http", "server", "2"]),
        ("the running of a game", ["run", "game"]),
        ("<<declare $gold = 100>>", ["declar", "gold", "100"]),
        ("", []),
        ("\u0440\u0443\u0441\u0441\u043a\u0438\u0439", ["\u0440\u0443\u0441\u0441\u043a\u0438\u0439"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert list(tokens(text)) == expected


def test_term_ids_never_change() -> None:
    # An index is read by other processes and releases than the one that wrote it.
    assert term_id("camera") == 991_751_685


def test_weights_are_those_of_bm25() -> None:
    short, long = document_vectors([["a", "b"], ["a", "a", "c", "d", "e", "f"]])
    # By hand: average length 4, k1 1.2, b 0.75; norm = 1.2 * (0.25 + 0.75 * length / 4);
    # "a" is in both of two documents, "b" in one.
    everywhere, once = math.log(1 + 0.5 / 2.5), math.log(2)
    assert short[term_id("a")] == pytest.approx(everywhere * 2.2 / (1 + 1.2 * 0.625))
    assert long[term_id("a")] == pytest.approx(everywhere * 2 * 2.2 / (2 + 1.2 * 1.375))
    assert short[term_id("b")] == pytest.approx(once * 2.2 / (1 + 1.2 * 0.625))


def test_a_query_weighs_each_term_once() -> None:
    assert set(query_terms("camera camera Camera").values()) == {1.0}
    assert query_terms("the of !?") == {}
