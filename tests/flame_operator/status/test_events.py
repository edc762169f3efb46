"""Which events a change of status makes. Pure."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_operator.resource.kinds import Manifest
from flame_operator.status.events import transitions


def status(*tools: str, **conditions: tuple[str, str]) -> Manifest:
    """A status with conditions as (status, reason)."""
    return {
        "conditions": [
            {"type": kind, "status": truth, "reason": reason, "message": f"{kind} says {reason}."}
            for kind, (truth, reason) in conditions.items()
        ]
    } | ({"server": {"tools": list(tools)}} if tools else {})


DEPLOYING = ("Unknown", "Deploying")
NOT_READY = ("False", "PodsNotReady")
AVAILABLE = ("True", "Available")
FINE = ("False", "UpToDate")
ANSWERING = ("True", "Answering")
SILENT = ("False", "NotAnswering")
TAKEN = ("True", "NameTaken")
UNVERIFIED = ("Unknown", "NotVerified")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, status(Ready=DEPLOYING, Stalled=FINE, Verified=UNVERIFIED), []),
        (status(Ready=DEPLOYING), status(Ready=NOT_READY), []),
        ({}, status(Ready=AVAILABLE), [("Normal", "Ready", "Ready says Available.")]),
        (status(Ready=NOT_READY), status(Ready=AVAILABLE), [("Normal", "Ready", "Ready says Available.")]),
        (status(Ready=AVAILABLE), status(Ready=AVAILABLE), []),
        (status(Ready=AVAILABLE), status(Ready=("True", "Suspended")), []),
        (
            status(Ready=AVAILABLE),
            status(Ready=NOT_READY),
            [("Warning", "PodsNotReady", "Ready says PodsNotReady.")],
        ),
        (
            status(Ready=AVAILABLE),
            status(Ready=("False", "ScaledToZero")),
            [("Normal", "ScaledToZero", "Ready says ScaledToZero.")],
        ),
        # One cause, one event.
        (
            status(Ready=AVAILABLE, Verified=ANSWERING),
            status(Ready=SILENT, Verified=SILENT),
            [("Warning", "NotAnswering", "Ready says NotAnswering.")],
        ),
        (
            {},
            status(Ready=("False", "NameTaken"), Stalled=TAKEN),
            [("Warning", "NameTaken", "Stalled says NameTaken.")],
        ),
        (
            status(Ready=("False", "NameTaken"), Stalled=TAKEN),
            status(Ready=("False", "InvalidSpec"), Stalled=("True", "InvalidSpec")),
            [("Warning", "InvalidSpec", "Stalled says InvalidSpec.")],
        ),
        (status(Stalled=TAKEN), status(Stalled=TAKEN), []),
        (status(Stalled=TAKEN), status(Stalled=FINE), []),
        (
            status(Ready=NOT_READY, Verified=UNVERIFIED),
            status(Ready=SILENT, Verified=SILENT),
            [("Warning", "NotAnswering", "Verified says NotAnswering.")],
        ),
        (status(Verified=UNVERIFIED), status(Verified=ANSWERING), []),
        # Two causes, two events.
        (
            status(Ready=AVAILABLE, Verified=ANSWERING, Stalled=FINE),
            status(Ready=NOT_READY, Verified=SILENT, Stalled=("True", "PodsRejected")),
            [
                ("Warning", "PodsNotReady", "Ready says PodsNotReady."),
                ("Warning", "PodsRejected", "Stalled says PodsRejected."),
                ("Warning", "NotAnswering", "Verified says NotAnswering."),
            ],
        ),
        (status(), status("a", "b"), []),
        (status("a", "b"), status(), []),
        (status("a", "b"), status("b", "a"), []),
        (
            status("a", "b"),
            status("b", "d", "c"),
            [("Normal", "ToolsChanged", "The server's tools changed: added c, d; removed a.")],
        ),
        (status("a"), status("a", "b"), [("Normal", "ToolsChanged", "The server's tools changed: added b.")]),
    ],
)
def test_transitions(old: Manifest, new: Manifest, expected: list[tuple[str, str, str]]) -> None:
    assert list(transitions(old, new)) == expected


def test_many_tools_are_not_all_listed() -> None:
    (event,) = transitions(status("old"), status(*(f"{n:02}" + "x" * 62 for n in range(32))))
    assert "and 22 more; removed old." in event.message
    assert len(event.message) <= 1024


TRUTHS = st.sampled_from([DEPLOYING, NOT_READY, AVAILABLE, FINE, ANSWERING, SILENT, TAKEN, UNVERIFIED])
STATUSES = st.dictionaries(st.sampled_from(["Ready", "Verified", "Stalled", "Other"]), TRUTHS)


@given(STATUSES, STATUSES)
def test_no_change_is_no_event_and_no_reason_comes_twice(old: Any, new: Any) -> None:  # noqa: ANN401
    assert transitions(status("a", **old), status("a", **old)) == ()
    reasons = [event.reason for event in transitions(status(**old), status(**new))]
    assert len(reasons) == len(set(reasons))


def test_a_creation_that_ends_well_is_one_event() -> None:
    way = [
        {},
        status(Ready=DEPLOYING, Verified=UNVERIFIED, Stalled=FINE),
        status(Ready=NOT_READY, Verified=UNVERIFIED, Stalled=FINE),
        status(Ready=("Unknown", "NotVerified"), Verified=UNVERIFIED, Stalled=FINE),
        status("get_flame_knowledge", Ready=AVAILABLE, Verified=ANSWERING, Stalled=FINE),
    ]
    events = [event for old, new in itertools.pairwise(way) for event in transitions(old, new)]
    assert [event.reason for event in events] == ["Ready"]
