"""Reading answers: vectors are required, and nothing else."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from flame_server.embedding.protocol.answer import ShapeError, read

ONE, TWO = [1.0, 2.0], [3.0, 4.0]


def encoded(*values: float) -> str:
    return base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode()


def content(data: object, **more: object) -> bytes:
    return json.dumps({"data": data, **more}).encode()


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 0, "embedding": ONE}, {"index": 1, "embedding": TWO}],
        [{"index": 1, "embedding": TWO}, {"index": 0, "embedding": ONE}],
        [{"embedding": ONE}, {"embedding": TWO}],
        [{"index": None, "embedding": ONE}, {"index": None, "embedding": TWO}],
        [{"index": 1, "embedding": encoded(*TWO)}, {"index": 0, "embedding": encoded(*ONE)}],
        [{"embedding": encoded(*ONE)}, {"embedding": [3, 4]}],
    ],
    ids=["in order", "by index", "no index", "null", "base64", "mixed"],
)
def test_vectors_are_in_the_order_of_the_texts(data: object) -> None:
    answer = read(content(data), 2)
    assert answer.vectors.tolist() == [ONE, TWO]
    assert (answer.tokens, answer.model) == (None, None)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 7, "total_tokens": 9}, 7),
        ({"total_tokens": 9}, 9),
        (None, None),
        ([], None),
        ({}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": 10**30}, None),
    ],
    ids=repr,
)
def test_tokens_are_told_or_unknown(usage: object, tokens: int | None) -> None:
    assert read(content([{"embedding": ONE}], usage=usage), 1).tokens == tokens


def items(*indexes: object) -> list[dict[str, Any]]:
    return [{"index": index, "embedding": ONE} for index in indexes]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (b"<html>", "not JSON: check the address"),
        (b"[" * 200_000, "not JSON"),
        (b"[]", "no list 'data'"),
        (content(None), "no list 'data'"),
        (content([]), "0 vectors for 2 texts"),
        (content(items(0)), "1 vectors for 2 texts"),
        (content(items(0, 1, 2)), "3 vectors for 2 texts"),
        (content(items(0, 0)), "does not name each text once"),
        (content(items(0, 2)), "does not name each text once"),
        (content(items(1, 2)), "does not name each text once"),
        (content(items(0, None)), "does not name each text once"),
        (content(items("0", "1")), "does not name each text once"),
        (content([{"embedding": ONE}, {"embedding": [1]}]), "1 and 2 dimensions"),
        (content([{"embedding": []}, {"embedding": []}]), "0 dimensions"),
        (content([{"embedding": ["1", "2"]}] * 2), "neither numbers nor base64"),
        (content([{"embedding": [[1], [2]]}] * 2), "neither numbers nor base64"),
        (content([{"embedding": None}] * 2), "neither numbers nor base64"),
        (content([7, 8]), "neither numbers nor base64"),
        (content([{"embedding": "AAAA"}] * 2), "cannot be read"),
        (content([{"embedding": "!"}] * 2), "cannot be read"),
        (content([{"embedding": [10**400]}] * 2), "cannot be read"),
        (content([{"embedding": [float("nan")]}] * 2), "not finite"),
        (content([{"embedding": [1e300]}] * 2), "not finite"),
        (content([{"embedding": encoded(float("inf"))}] * 2), "not finite"),
    ],
)
def test_other_shapes_are_refused(given: bytes, problem: str) -> None:
    with pytest.raises(ShapeError, match=problem):
        read(given, 2)


def test_an_error_in_place_of_vectors_keeps_its_words() -> None:
    with pytest.raises(ShapeError) as raised:
        read(b'{"code": 20042, "message": "input batch size 136 > 64", "data": null}', 2)
    assert raised.value.words == "input batch size 136 > 64"
