"""Digests of Secrets: stable, telling nothing, and made with a key that outlives the operator."""

import asyncio
import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flame_operator.errors import Conflict, Forbidden, UserError
from flame_operator.references.digests import KEY_SECRET, Digests, Part, load_key, only_values_differ
from flame_operator.resource.kinds import SECRET, Key, Manifest
from tests.support.operator.fake_kube import FakeKube

PLACE = Key("flame-system", KEY_SECRET)
DIGESTS = Digests(b"k" * 32)


def secret(name: str = "tokens", namespace: str = "team", **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


def config_map(data: dict[str, str] | None = None, binary: dict[str, str] | None = None) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ca", "namespace": "team"},
        "data": data,
        "binaryData": binary,
    }


# --- values ---


def test_a_value_has_a_digest_that_depends_on_nothing_else() -> None:
    before = secret(bearer="value", other="1")
    after = secret(bearer="value", more="2")
    after["metadata"] |= {"resourceVersion": "7", "uid": "other", "annotations": {"a": "b"}}
    assert DIGESTS.value(before, "bearer") == DIGESTS.value(after, "bearer")
    assert len(DIGESTS.value(before, "bearer")) == 16


@pytest.mark.parametrize(
    "other",
    [
        secret(bearer="other"),
        secret(name="others", bearer="value"),
        # Or else a tenant could find out another's value by trying values in a Secret of their own.
        secret(namespace="others", bearer="value"),
        {**secret(bearer="value"), "kind": "ConfigMap", "data": {"bearer": "value"}},
    ],
)
def test_another_object_or_value_has_another_digest(other: Manifest) -> None:
    assert DIGESTS.value(secret(bearer="value"), "bearer") != DIGESTS.value(other, "bearer")


def test_another_key_has_another_digest() -> None:
    both = secret(a="value", b="value")
    assert DIGESTS.value(both, "a") != DIGESTS.value(both, "b")
    assert DIGESTS.value(both, "a") != Digests(b"l" * 32).value(both, "a")


@pytest.mark.parametrize("body", [secret(), secret(bearer=""), {**secret(), "data": None}])
def test_nothing_has_no_digest(body: Manifest) -> None:
    assert DIGESTS.value(body, "bearer") == b""


def test_config_maps_hold_text_and_bytes() -> None:
    text = config_map({"ca.crt": "é"})
    binary = config_map(binary={"ca.crt": base64.b64encode("é".encode()).decode()})
    assert DIGESTS.value(text, "ca.crt") == DIGESTS.value(binary, "ca.crt") != b""


def test_without_a_key_all_values_count() -> None:
    assert DIGESTS.value(secret(), None) != b""
    digests = {
        DIGESTS.value(body, None)
        for body in (secret(), secret(a="1"), secret(a="2"), secret(b="1"), secret(a="1", b="1"))
    }
    assert len(digests) == 5


# --- all values of a server ---


def part(name: str = "tokens", key: str | None = "bearer", digest: bytes = b"1" * 16) -> Part:
    return Part("Secret", name, key, digest)


parts = st.builds(
    Part, st.sampled_from(["Secret", "ConfigMap"]), st.sampled_from("ab"), st.sampled_from(["k", None]),
    st.sampled_from([b"1" * 16, b"2" * 16]),
)  # fmt: skip


@given(st.lists(parts, unique_by=lambda one: one[:3]), st.randoms())
def test_order_and_repetition_do_not_matter(some: list[Part], random: Any) -> None:  # noqa: ANN401
    shuffled = some + some[:1]
    random.shuffle(shuffled)
    assert DIGESTS.all_of(shuffled) == DIGESTS.all_of(some)


@given(st.lists(parts, unique_by=lambda one: one[:3]), st.lists(parts, unique_by=lambda one: one[:3]))
def test_equal_digests_are_of_equal_parts(some: list[Part], others: list[Part]) -> None:
    assert (DIGESTS.all_of(some) == DIGESTS.all_of(others)) == (set(some) == set(others))
    same_names = {one[:3] for one in some} == {one[:3] for one in others}
    assert only_values_differ(DIGESTS.all_of(some), DIGESTS.all_of(others)) == (
        same_names and set(some) != set(others)
    )


def test_what_a_digest_looks_like() -> None:
    names, _, values = DIGESTS.all_of([part()]).partition("-")
    assert (len(names), len(values)) == (8, 32)
    int(names + values, 16)
    assert DIGESTS.all_of([]) == ""


def test_a_new_key_is_no_change_of_names() -> None:
    """So that a lost key makes paced rollouts, not all at once."""
    assert only_values_differ(DIGESTS.all_of([part()]), Digests(b"l" * 32).all_of([part()]))


# --- the key ---


async def test_a_key_is_made_once() -> None:
    kube = FakeKube()
    key = await load_key(kube, "flame-system")
    assert len(key) == 32
    assert await load_key(kube, "flame-system") == key
    assert kube.writes == ["apply Secret"]
    assert kube.objects["Secret", PLACE]["immutable"] is True
    assert await load_key(FakeKube(), "flame-system") != key


async def test_two_replicas_that_start_at_once_have_one_key() -> None:
    kube = FakeKube()
    first, second = await asyncio.gather(
        load_key(Late(kube), "flame-system"), load_key(Late(kube), "flame-system")
    )
    assert first == second
    assert kube.writes == ["apply Secret"]


class Late:
    """An API whose reads come before anybody's writes."""

    def __init__(self, kube: FakeKube) -> None:
        self._kube = kube

    async def get(self, kind: Any, key: Key) -> Manifest | None:  # noqa: ANN401
        found = await self._kube.get(kind, key)
        for _ in range(3):
            await asyncio.sleep(0)
        return found

    async def apply(self, manifest: Manifest, *, uid: str | None) -> Manifest:
        return await self._kube.apply(manifest, uid=uid)


@pytest.mark.parametrize(
    "data", [None, {}, {"key": ""}, {"key": base64.b64encode(b"short").decode()}, {"key": "no base64!"}]
)
async def test_an_unusable_key_is_explained(data: dict[str, str] | None) -> None:
    kube = FakeKube()
    kube.create({**secret(*PLACE[::-1]), "data": data})
    with pytest.raises(UserError, match=r"flame-mcp-operator-key has no key .* Delete it"):
        await load_key(kube, "flame-system")
    assert kube.writes == []


async def test_missing_rights_are_told_as_they_are() -> None:
    kube = FakeKube()
    kube.fail["get Secret"] = Forbidden("secrets is forbidden")
    with pytest.raises(UserError, match=r"secrets is forbidden\. Install the operator's RBAC rules"):
        await load_key(kube, "flame-system")
    kube = FakeKube()
    kube.fail["apply Secret"] = Conflict("gone again")
    with pytest.raises(UserError):
        await load_key(kube, "flame-system")
    assert kube.requests.count(f"get {SECRET.kind}") == 2
