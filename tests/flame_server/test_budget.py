from flame_server.docs.markdown import fences_are_closed
from flame_server.text.budget import fit


def words(text: str) -> int:
    return len(text.split())


def sized(*texts: str) -> list[tuple[str, int]]:
    return [(text, words(text)) for text in texts]


def test_all_that_fits_is_given() -> None:
    assert fit(sized("a b", "c d"), 4, words) == (["a b", "c d"], False)


def test_what_does_not_fit_is_left_out_and_said() -> None:
    assert fit(sized("a b", "c d e"), 4, words) == (["a b"], True)


def test_the_last_one_is_cut_between_paragraphs() -> None:
    long = "x " * 60 + "\n\n" + "y " * 60
    kept, truncated = fit(sized("a b", long), 100, words)
    assert (kept[1].strip(), truncated) == (("x " * 60).strip(), True)


def test_a_fence_is_never_cut() -> None:
    kept, truncated = fit(sized("intro\n\n```dart\n" + "a\n\n" * 50 + "```"), 20, words)
    assert (kept, truncated) == (["intro"], True)
    assert all(map(fences_are_closed, kept))


def test_there_is_always_an_answer() -> None:
    kept, truncated = fit(sized("w " * 100), 10, words)
    assert truncated
    assert 0 < words(kept[0].removesuffix(" ...")) <= 10
