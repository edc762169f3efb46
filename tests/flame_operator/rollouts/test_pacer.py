"""Whose turn it is: a few at a time, first come first served, and nobody waits forever."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flame_operator.resource.kinds import Key
from flame_operator.rollouts.pacer import LONGEST_SECONDS, Pacer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pacer(parallelism: int = 2) -> tuple[Pacer, list[Key], Clock]:
    called: list[Key] = []
    clock = Clock()
    return Pacer(parallelism, called.append, clock), called, clock


A, B, C, D, E = (Key("n", name) for name in "abcde")


def admit(pacer: Pacer, *keys: Key, broken: bool = False) -> list[bool]:
    return [pacer.admit(key, broken=broken) for key in keys]


def test_the_first_may_begin_and_the_others_wait() -> None:
    paced, called, _ = pacer()
    assert admit(paced, A, B, C, D) == [True, True, False, False]
    assert admit(paced, A, C) == [True, False], "asking again changes nothing"
    assert (paced.waiting, called) == (2, [])


def test_who_is_done_makes_room_for_the_next() -> None:
    paced, called, _ = pacer()
    admit(paced, A, B, C, D)
    paced.done(B)
    assert called == [C]
    assert admit(paced, C, D) == [True, False]
    assert paced.waiting == 1


def test_who_comes_again_waits_again() -> None:
    paced, called, _ = pacer(1)
    admit(paced, A, B)
    paced.done(A)
    assert admit(paced, A, B) == [False, True]
    assert called == [B]


def test_who_leaves_while_waiting_is_not_called() -> None:
    paced, called, _ = pacer(1)
    admit(paced, A, B, C)
    paced.done(B)
    paced.done(E)
    paced.done(Key("elsewhere", "a"))
    paced.done(A)
    assert called == [C]


def test_each_namespace_has_its_own_turns() -> None:
    paced, called, _ = pacer(1)
    assert admit(paced, A, B, Key("other", "a")) == [True, False, True]
    paced.done(Key("other", "a"))
    assert called == []


def test_a_lost_end_holds_the_others_up_only_so_long() -> None:
    paced, called, clock = pacer(1)
    admit(paced, A, B, C)
    clock.now = LONGEST_SECONDS - 1
    assert paced.expire() == ()
    clock.now = LONGEST_SECONDS
    assert paced.expire() == (A,)
    assert called == [B]
    clock.now = 2 * LONGEST_SECONDS
    assert paced.expire() == (B,)
    assert admit(paced, C) == [True]


def test_after_a_restart_what_rolls_already_counts() -> None:
    paced, called, _ = pacer()
    for key in (A, B, C):
        paced.resume(key)
    assert admit(paced, D, A) == [False, True]
    paced.done(A)
    assert called == [], "there are still as many as may be"
    paced.done(B)
    assert called == [D]


def test_who_has_nothing_to_lose_goes_first() -> None:
    paced, called, _ = pacer()
    admit(paced, A, B, C)
    admit(paced, D, broken=True)
    paced.done(A)
    assert called == [D]


def test_who_breaks_while_waiting_goes_first() -> None:
    paced, called, _ = pacer()
    admit(paced, A, B, C, D)
    admit(paced, D, broken=True)
    admit(paced, D)
    assert paced.waiting == 2
    paced.done(A)
    assert called == [D]


def test_one_turn_is_kept_from_those_that_may_stay_broken() -> None:
    paced, called, _ = pacer(3)
    assert admit(paced, A, B, C, broken=True) == [True, True, False]
    assert admit(paced, D) == [True]
    paced.done(D)
    assert called == []
    assert admit(paced, E) == [True]
    paced.done(A)
    assert called == [C]


def test_a_single_turn_is_for_all() -> None:
    paced, called, _ = pacer(1)
    assert admit(paced, A, B, broken=True) == [True, False]
    assert admit(paced, C) == [False]
    paced.done(A)
    paced.done(B)
    assert called == [B, C]


class Turns(RuleBasedStateMachine):
    """Anything that may happen, in any order, beside a plain account of who waits since when."""

    keys = st.builds(Key, st.sampled_from(["m", "n"]), st.sampled_from("abcdefgh"))

    @initialize(parallelism=st.integers(1, 4))
    def begin(self, parallelism: int) -> None:
        self.parallelism = parallelism
        self.clock = Clock()
        self.pacer = Pacer(parallelism, self.called, self.clock)
        self.rolling: dict[Key, bool] = {}
        self.resumed: set[Key] = set()
        self.waiting: dict[bool, list[Key]] = {True: [], False: []}

    def called(self, key: Key) -> None:
        broken = key in self.waiting[True]
        first = next(one for one in self.waiting[broken] if one.namespace == key.namespace)
        assert key == first, "somebody else has waited longer"
        assert len(self.rolling_in(key.namespace)) < self.parallelism
        self.waiting[broken].remove(key)
        self.rolling[key] = broken

    def leave(self, key: Key) -> None:
        self.rolling.pop(key, None)
        self.resumed.discard(key)
        for line in self.waiting.values():
            if key in line:
                line.remove(key)

    def rolling_in(self, namespace: str) -> list[bool]:
        return [broken for key, broken in self.rolling.items() if key.namespace == namespace]

    @rule(key=keys, broken=st.booleans())
    def ask(self, key: Key, broken: bool) -> None:
        before = self.rolling_in(key.namespace)
        alone = not any(one.namespace == key.namespace for line in self.waiting.values() for one in line)
        answer = self.pacer.admit(key, broken=broken)
        if key in self.rolling:
            assert answer
            return
        if answer:
            assert len(before) < self.parallelism
            as_broken = broken or key in self.waiting[True]
            self.leave(key)
            self.rolling[key] = as_broken
        else:
            assert not (alone and len(before) < self.parallelism) or broken
            if broken and key in self.waiting[False]:
                self.waiting[False].remove(key)
            if not any(key in line for line in self.waiting.values()):
                self.waiting[broken].append(key)

    @rule(key=keys)
    def end(self, key: Key) -> None:
        self.leave(key)
        self.pacer.done(key)

    @rule(key=keys)
    def resume(self, key: Key) -> None:
        self.leave(key)
        self.rolling[key] = False
        self.resumed.add(key)
        self.pacer.resume(key)

    @precondition(lambda self: self.rolling)
    @rule()
    def time_passes(self) -> None:
        self.clock.now += LONGEST_SECONDS
        before = set(self.rolling)
        for key in before:
            self.leave(key)
        assert set(self.pacer.expire()) == before

    @invariant()
    def bounds(self) -> None:
        if not hasattr(self, "pacer"):
            return
        assert self.pacer.waiting == sum(map(len, self.waiting.values()))
        for namespace in ("m", "n"):
            rolling = self.rolling_in(namespace)
            resumed = [key for key in self.resumed if key.namespace == namespace]
            assert len(rolling) <= self.parallelism + len(resumed)
            assert sum(rolling) <= max(1, self.parallelism - 1)
            if any(key.namespace == namespace for key in self.waiting[False]):
                assert len(rolling) >= self.parallelism, "a turn is free while somebody waits"

    def teardown(self) -> None:
        """Everybody has a turn once those before are done."""
        if not hasattr(self, "pacer"):
            return
        while self.rolling:
            self.end(next(iter(self.rolling)))
        assert self.waiting == {True: [], False: []}
        assert self.pacer._lines == {}, "nothing is kept of those that are done"


TestTurns = Turns.TestCase
