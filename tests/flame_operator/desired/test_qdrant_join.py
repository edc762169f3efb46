"""How a pod of a managed Qdrant finds its cluster: its command, run by bash against a stand-in."""

import json
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from flame_operator.desired.qdrant_join import join_command
from tests.qdrant_standin.app import QdrantStandIn
from tests.support.server.qdrant_server import KEY, READ_KEY, qdrant_served

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
ME = "http://docs-qdrant-{}.docs-qdrant-headless:6335"


def started(
    folder: Path,
    number: int,
    member: QdrantStandIn | None = None,
    *,
    key: str = KEY,
    address: str = "127.0.0.1",
    pods: int = 1,
    seconds: int = 0,
) -> list[str]:
    """The arguments with which pod `number` starts Qdrant; 9 is the exit code of one that waits."""
    port = member.url.rpartition(":")[2] if member else "1"
    shell, flag, script = join_command("docs")
    script = script.replace("/qdrant/storage", str(folder)).replace("sleep 2", "exit 9")
    script = script.replace("/proc/net/if_inet6", str(folder / "if_inet6"))
    script = f"SECONDS={seconds}; {script}"
    for ours in ("/dev/tcp/$0/6335", "/dev/tcp/$0/6333"):
        script = script.replace(ours, f"/dev/tcp/$0/{port}")
    addresses = [address, *(f"127.0.0.{one}" for one in range(2, pods + 1))][:pods]
    programs = {
        "entrypoint.sh": 'printf "%s\\n" "$@" > arguments; echo "$QDRANT__SERVICE__HOST" > host',
        "getent": '[ "$*" = "ahosts docs-qdrant-headless" ] || exit 1\n'
        + "\n".join(f'echo "{one}  STREAM docs"' for one in addresses),
    }
    for name, does in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    variables = {
        "HOSTNAME": f"docs-qdrant-{number}",
        "PATH": f"{folder}:/usr/bin:/bin",
        "QDRANT__SERVICE__API_KEY": key,
    }
    done = subprocess.run(
        [shell, flag, script],
        cwd=folder,
        env=variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return (folder / "arguments").read_text().split() if done.returncode == 0 else [f"exit {done.returncode}"]


def state(folder: Path, term: int, peer: int = 7) -> None:
    """What Qdrant has written, in the order in which it does."""
    found = {
        "state": {"hard_state": {"term": term, "vote": 0, "commit": 0}, "conf_state": {"voters": []}},
        "latest_snapshot_meta": {"term": 0, "index": 0},
        "this_peer_id": peer,
    }
    (folder / "raft_state.json").write_text(json.dumps(found, separators=(",", ":")))


def test_the_first_founds_a_cluster_and_the_others_wait_for_it(tmp_path: Path) -> None:
    assert started(tmp_path, 0) == ["--uri", ME.format(0)]
    assert started(tmp_path, 2) == ["exit 9"]


def test_nobody_founds_a_cluster_while_dns_tells_of_no_pod(tmp_path: Path) -> None:
    assert started(tmp_path, 0, pods=0, seconds=99) == ["exit 9"]


def test_the_first_gives_others_time_that_may_have_a_past(tmp_path: Path) -> None:
    """They load what they have before they listen. A second cluster beside theirs would find nothing."""
    assert started(tmp_path, 0, pods=3, seconds=20) == ["exit 9"]
    assert started(tmp_path, 0, pods=3, seconds=30) == ["--uri", ME.format(0)]
    assert started(tmp_path, 1, pods=3, seconds=99) == ["exit 9"]


@pytest.mark.parametrize("number", [0, 1])
def test_without_a_past_a_pod_joins_whoever_is_a_member(tmp_path: Path, number: int) -> None:
    """The first, too: with a new volume it must not found a second cluster beside the one that it was in."""
    state(tmp_path, term=0)  # an attempt before has failed
    with qdrant_served(KEY) as member:
        member.peers.join(ME.format(3) + "/")
        found = started(tmp_path, number, member)
    assert found == ["--bootstrap", "http://127.0.0.1:6335", "--uri", ME.format(number)]


@needs_ipv6
def test_a_member_with_an_ipv6_address_is_joined_by_it(tmp_path: Path) -> None:
    with qdrant_served(KEY, host="::1") as member:
        lost = member.peers.join(ME.format(1) + "/")
        found = started(tmp_path, 1, member, address="::1")
        assert lost not in member.peers.uris
    assert found == ["--bootstrap", "http://[::1]:6335", "--uri", ME.format(1)]


@pytest.mark.parametrize(("addresses", "host"), [("00..01 01 80 10 80 lo\n", "::"), ("", ""), (None, "")])
def test_qdrant_listens_on_both_families_where_there_is_ipv6(
    tmp_path: Path, addresses: str | None, host: str
) -> None:
    if addresses is not None:
        (tmp_path / "if_inet6").write_text(addresses)
    assert started(tmp_path, 0)
    assert (tmp_path / "host").read_text().strip() == host


def test_with_a_past_a_pod_goes_on_as_it_is(tmp_path: Path) -> None:
    state(tmp_path, term=3)
    assert started(tmp_path, 0) == ["--uri", ME.format(0)]
    assert started(tmp_path, 2) == ["--bootstrap", ME.format(0), "--uri", ME.format(2)]


def test_the_peer_whose_volume_is_gone_makes_room_for_the_new_one(tmp_path: Path) -> None:
    with qdrant_served(KEY) as member:
        uris = [ME.format(number) + "/" for number in (3, 1, 11)]
        first, lost, other = (member.peers.join(uri) for uri in uris)
        member.peers.created("c", 3)
        member.peers.lose(lost)
        assert started(tmp_path, 1, member)[0] == "--bootstrap"
        assert set(member.peers.uris) == {first, other}
        assert set(member.peers.copies("c")) == {first, other}


def test_a_pod_that_stopped_while_it_joined_does_not_remove_itself(tmp_path: Path) -> None:
    with qdrant_served(KEY) as member:
        member.peers.join(ME.format(3) + "/")
        mine = member.peers.join(ME.format(1) + "/")
        state(tmp_path, term=0, peer=mine)
        assert started(tmp_path, 1, member)[0] == "--bootstrap"
        assert mine in member.peers.uris


ALIAS = {"create_alias": {"alias_name": "flame-docs", "collection_name": "c"}}


def with_alias(member: QdrantStandIn) -> None:
    """It runs without cluster mode, and then restarts with it."""
    httpx.put(f"{member.url}/collections/c", headers={"api-key": KEY}, json={"vectors": {}})
    actions = {"actions": [ALIAS, {"create_alias": {"alias_name": "other", "collection_name": "c"}}]}
    assert httpx.post(f"{member.url}/collections/aliases", headers={"api-key": KEY}, json=actions).is_success
    member.peers.join(ME.format(0) + "/")


def test_aliases_of_one_that_ran_without_cluster_mode_are_there_for_the_others(tmp_path: Path) -> None:
    with qdrant_served(KEY) as member:
        with_alias(member)
        assert started(tmp_path, 1, member)[0] == "--bootstrap"
        assert sorted(member.logged) == ["flame-docs", "other"]
        # A cluster has all of them in its log. A load may move them just now.
        member.peers.join(ME.format(1) + "/")
        assert started(tmp_path, 2, member)[0] == "--bootstrap"
        assert len(member.logged) == 2


def test_nobody_joins_who_would_not_know_the_aliases(tmp_path: Path) -> None:
    with qdrant_served(KEY) as member:
        with_alias(member)
        member.failing_writes = 500
        assert started(tmp_path, 1, member) == ["exit 1"]


def test_a_member_whose_other_port_is_not_open_yet_is_asked_again(tmp_path: Path) -> None:
    with qdrant_served(KEY) as member:
        member.peers.join(ME.format(0) + "/")
        member.failing = 503
        assert started(tmp_path, 1, member) == ["exit 9"]


def test_a_key_that_may_not_do_it_changes_nothing(tmp_path: Path) -> None:
    with qdrant_served(KEY) as member:
        for number in (3, 1):
            member.peers.join(ME.format(number) + "/")
        assert started(tmp_path, 1, member, key=READ_KEY)[0] == "--bootstrap"
        assert len(member.peers.uris) == 2


def test_kubernetes_expands_nothing_in_it() -> None:
    assert "$(" not in join_command("docs")[2]
    assert "$$" not in join_command("docs")[2]
