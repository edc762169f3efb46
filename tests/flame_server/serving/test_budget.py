from hypothesis import given
from hypothesis import strategies as st

from flame_server.docs.myst.markdown import fences_are_closed
from flame_server.serving.tools.budget import Content, Place, fit, take

FENCED = "intro\n\n```dart\n" + "a b c\n\n" * 50 + "```"


def words(text: str) -> int:
    return len(text.split())


def sized(*texts: str) -> list[Content]:
    return [Content(text, words(text)) for text in texts]


def parts_of(text: str, budget: int) -> list[str]:
    parts: list[str] = []
    start: int | None = 0
    while start is not None:
        part = take(text, start, budget, words)
        assert part.end is None or part.end > start
        parts.append(part.text)
        start = part.end
    return parts


def written(text: str) -> str:
    """The characters of a text, without what makes fences, which is said again at each cut."""
    for markup in ("```dart", "```", "~~~", ">"):
        text = text.replace(markup, "")
    return "".join(text.split())


def test_all_that_fits_is_given() -> None:
    assert fit(sized("a b", "c d"), 4, words) == (["a b", "c d"], None)


def test_what_does_not_fit_waits_for_the_next_answer() -> None:
    assert fit(sized("a b", "c d e"), 4, words) == (["a b"], Place(1, 0))


def test_the_last_one_is_cut_between_paragraphs() -> None:
    long = "x " * 60 + "\n\n" + "y " * 60
    kept, place = fit(sized("a b", long), 100, words)
    assert (kept[1].split(), place) == (["x"] * 60, Place(1, 122))
    assert fit(sized(long), 100, words, start=122) == ([("y " * 60)], None)


def test_a_fence_that_fits_is_not_cut() -> None:
    kept, place = fit(sized(FENCED), 20, words)
    assert (kept, place) == (["intro"], Place(0, 7))


def test_a_fence_that_never_fits_is_closed_and_opened_again() -> None:
    parts = parts_of(FENCED, 20)
    assert all(words(part) <= 20 for part in parts)
    assert all(part.startswith("```dart\n") and part.endswith("\n```") for part in parts[1:])
    assert sum(part.count("a b c") for part in parts) == 50


def test_there_is_always_an_answer() -> None:
    kept, place = fit(sized("w " * 100), 10, words)
    assert (kept[0].split(), place) == (["w"] * 10, Place(0, 20))


@given(
    st.lists(
        st.sampled_from(["word", "two words", "", "```dart", "```", "> ~~~", "- item", "x" * 60]), max_size=30
    ),
    st.integers(12, 40),
)
def test_reading_on_loses_and_repeats_nothing(lines: list[str], budget: int) -> None:
    text = "\n".join(lines)
    parts = parts_of(text, budget)
    assert written(" ".join(parts)) == written(text)
    assert all(fences_are_closed(part) for part in parts[:-1])
