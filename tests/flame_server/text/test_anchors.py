import pytest

from flame_server.text.anchors import PageAnchors, make_id


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Pause/Resuming/Stepping game execution", "pause-resuming-stepping-game-execution"),
        (
            "VerticalDragDetector and HorizontalDragDetector removed",
            "verticaldragdetector-and-horizontaldragdetector-removed",
        ),
        (
            'My game shows "lines" and artifacts between the map tiles',
            "my-game-shows-lines-and-artifacts-between-the-map-tiles",
        ),
        ("<<declare>>", "declare"),
        ("2. Add a player", "add-a-player"),
        ("1.0.0", ""),
        ("Ünïcödé Straße", "unicode-strasze"),
        ("  --dashes--  ", "dashes"),
        ("snake_case_name", "snake-case-name"),
        ("日本語", ""),
    ],
)
def test_id_is_made_as_docutils_makes_it(heading: str, anchor: str) -> None:
    assert make_id(heading) == anchor


def test_repeated_and_empty_headings_are_numbered_over_the_whole_page() -> None:
    anchors = PageAnchors()
    given = [anchors.next(text) for text in ("Usage", "Example", "Usage", "1.0", "Usage", "id3", "日本")]
    assert given == ["usage", "example", "id1", "id2", "id3", "id4", "id5"]
