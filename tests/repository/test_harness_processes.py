"""Processes that the harness starts: found again, stopped, and explained when they fail."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.console import step
from tests.harness.errors import HarnessError
from tests.harness.proc import Daemon, Identity, run, stop_process, wait_for


def test_identity_survives_a_round_trip_and_knows_other_processes() -> None:
    own = Identity.of(os.getpid())
    assert own is not None
    assert Identity.parse(str(own)) == own
    assert own.alive()
    assert not Identity(own.pid, own.started + 1, own.boot).alive()
    assert not Identity(own.pid, own.started, "another-boot").alive()
    assert Identity.parse("12") is None


def test_a_recycled_pid_is_not_killed(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        known = Identity.of(bystander.pid)
        assert known is not None
        earlier = Identity(known.pid, known.started - 1, known.boot)
        (tmp_path / "etcd.pid").write_text(str(earlier))
        Daemon("etcd", tmp_path, tmp_path).stop(grace=0)
        stop_process(earlier, grace=0)
        assert bystander.poll() is None
        assert not (tmp_path / "etcd.pid").exists()
        bystander.kill()


def test_daemon_is_found_again_and_stopped_although_it_ignores_sigterm(tmp_path: Path) -> None:
    deaf = Daemon("deaf", tmp_path, tmp_path / "log")
    deaf.start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"])
    wait_for("its trap to be set", lambda: "ready" in deaf.log.read_text(), timeout=10, needs=[deaf])
    again = Daemon("deaf", tmp_path, tmp_path / "log")
    identity = again.identity()
    assert identity is not None
    again.stop(grace=0.2)
    assert not identity.alive()
    assert deaf.identity() is None


def test_death_of_a_needed_daemon_is_reported_with_its_log(tmp_path: Path) -> None:
    brief = Daemon("brief", tmp_path, tmp_path / "log")
    brief.start(["sh", "-c", "echo 'the disk is full' >&2; sleep 0.2; exit 3"])
    with pytest.raises(HarnessError, match=r"(?s)brief died:.*the disk is full.*whole log: .*brief\.log"):
        wait_for("nothing", lambda: False, timeout=20, needs=[brief])


def test_failed_commands_are_explained() -> None:
    with pytest.raises(HarnessError, match=r"(?s)exit code 4:.*no such thing"):
        run(["sh", "-c", "echo no such thing >&2; exit 4"])
    with pytest.raises(HarnessError, match="did not end within"):
        run(["sleep", "60"], timeout=0.1)
    with pytest.raises(HarnessError, match="was not found: install it"):
        run(["no-such-command-here"])


def test_steps_are_readable_without_a_terminal_and_without_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    with step("first"):
        pass
    with pytest.raises(HarnessError), step("second"):
        raise HarnessError
    output.flush()
    lines = output.buffer.getvalue().decode().splitlines()
    assert [line.split("(")[0] for line in lines] == ["  ok first ", "  FAILED second "]
