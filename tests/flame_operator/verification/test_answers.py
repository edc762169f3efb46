import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flame_operator.verification.answers import MAX_EVENT_LINES, MAX_VALUES, Events
from flame_operator.verification.verdict import Failure

ANSWER = b'{"id": 7, "result": {"x": [1, 2]}}'
BEFORE = b': hello\r\n\r\nevent: message\r\ndata: {"method": "ping", "id": 7}\r\n\r\ndata\n\n'


@example(cuts=[len(BEFORE) + len(b"data: ") + 9 + 1], end=b"\r\n")  # in the middle of the end of a line
@given(cuts=st.lists(st.integers(0, 200)), end=st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_an_event_is_found_however_it_is_cut(cuts: list[int], end: bytes) -> None:
    stream = BEFORE + end.join([b"data: " + ANSWER[:9], b"data: " + ANSWER[9:], b"", b""])
    events, begin = Events(7), 0
    for cut in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
        found = events.feed(stream[begin:cut])
        assert found == (cut == len(stream) or (end == b"\r\n" and cut == len(stream) - 1))
        if found:
            break
        begin = cut
    assert events.result() == {"x": [1, 2]}


@pytest.mark.parametrize("end", [b"", b"\n", b"\r"])
def test_a_stream_that_ends_may_leave_out_the_end_of_its_last_event(end: bytes) -> None:
    events = Events(7)
    assert not events.feed(b"data:" + ANSWER + end)
    assert events.result() == {"x": [1, 2]}


def test_an_error_is_the_answer_and_ends_the_check() -> None:
    with pytest.raises(Failure, match="reports the error 'no'"):
        Events(7).feed(b'data: {"id": 7, "error": {"message": "no"}}\n\n')


def test_lines_and_values_are_counted_over_all_pieces() -> None:
    for piece, times in ((b"data:{}\n", 2 * MAX_EVENT_LINES), (b"{,", MAX_VALUES)):
        events = Events(7)
        for _ in range(times):
            assert not events.feed(piece)
        with pytest.raises(Failure, match="more than") as failure:
            events.feed(piece)
        assert failure.value.overrun
