"""Processes: short commands, and daemons that are found again by pid and start time."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.errors import HarnessError

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the system folders on PATH, which a plain root shell may lack."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}", **(extra or {})}


def run(
    argv: Sequence[str | Path],
    *,
    check: bool = True,
    text_input: str | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end and captures its output.

    Raises:
        HarnessError: it is missing, took longer than `timeout` seconds, or (with `check`) failed.
    """
    words = [str(word) for word in argv]
    source = {"input": text_input} if text_input is not None else {"stdin": subprocess.DEVNULL}
    try:
        done = subprocess.run(
            words, check=False, capture_output=True, encoding="utf-8", errors="replace",
            timeout=timeout, env=environment(env), cwd=cwd, **source,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise HarnessError(f"`{words[0]}` was not found: install it and try again") from error
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"`{' '.join(words)}` did not end within {timeout:.0f} s") from error
    if check and done.returncode != 0:
        output = tail_of_text(done.stderr + done.stdout)
        raise HarnessError(f"`{' '.join(words)}` failed with exit code {done.returncode}:\n{output}")
    return done


def tail_of_text(text: str, lines: int = 15) -> str:
    """The last lines of a text, indented, for an error message."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])


def tail(log: Path) -> str:
    """The last lines of a log and where to read the rest."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        text = "(no log)"
    return f"{tail_of_text(text)}\n    whole log: {log}"


@dataclass(frozen=True)
class Identity:
    """A process that can't be confused with a later one under the same pid.

    `started` is in clock ticks since the boot named by `boot` (proc(5), field 22 of /proc/PID/stat).
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of the process that has this pid now; None when there is none or it is a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
        if fields[0] in {"Z", "X"}:
            return None
        return cls(pid, int(fields[19]), Path("/proc/sys/kernel/random/boot_id").read_text().strip())

    @classmethod
    def parse(cls, text: str) -> "Identity | None":
        """Reads what `str()` wrote; None for a file that was cut short."""
        try:
            pid, started, boot = text.split()
            return cls(int(pid), int(started), boot)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.pid} {self.started} {self.boot}"

    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return Identity.of(self.pid) == self


def stop_process(identity: Identity, grace: float) -> None:
    """Ends a process: SIGTERM, after `grace` seconds SIGKILL, and returns when it is gone.

    A pid file descriptor is opened before the identity is checked, so no other process can be hit.
    """
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        if identity.alive():
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if grace > 0:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
            if grace <= 0 or not poll.poll(grace * 1000):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                poll.poll()
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
        _reap(identity.pid)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # another process may have started it
        os.waitpid(pid, os.WNOHANG)


@dataclass(frozen=True)
class Daemon:
    """A long-running process with a pid file and a log, found again by later runs of the harness."""

    name: str
    folder: Path
    logs: Path

    @property
    def log(self) -> Path:
        """Its output; the run before is kept beside it as `NAME.log.1`."""
        return self.logs / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    def identity(self) -> Identity | None:
        """The running process, or None."""
        try:
            known = Identity.parse(self._pid_file.read_text())
        except FileNotFoundError:
            return None
        return known if known is not None and known.alive() else None

    def start(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> int:
        """Starts it in a session of its own, so that it outlives this process; returns its pid."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        words = [str(word) for word in argv]
        # posix_spawn and not Popen: nobody waits for a daemon, and Popen warns about exactly that.
        pid = os.posix_spawnp(
            words[0], words, environment(env), setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )  # fmt: skip
        identity = Identity.of(pid)
        if identity is None:
            raise self.failure("ended at once")
        self._pid_file.write_text(f"{identity}\n")
        return pid

    def stop(self, grace: float = 10.0) -> None:
        """Stops it if it runs and removes the pid file. `grace` 0 kills it straight away."""
        identity = self.identity()
        if identity is not None:
            stop_process(identity, grace)
        self._pid_file.unlink(missing_ok=True)

    def failure(self, what: str) -> HarnessError:
        """An error that shows the end of the log."""
        return HarnessError(f"{self.name} {what}:\n{tail(self.log)}")


def wait_for(
    what: str,
    condition: Callable[[], bool],
    *,
    timeout: float,
    needs: Iterable[Daemon] = (),
    interval: float = 0.1,
) -> None:
    """Waits until `condition` holds. The last one of `needs` is the one whose log tells why it doesn't.

    Raises:
        HarnessError: one of the daemons in `needs` died meanwhile, or `timeout` seconds passed.
    """
    daemons = list(needs)
    deadline = time.monotonic() + timeout
    while not condition():
        for daemon in daemons:
            if daemon.identity() is None:
                raise daemon.failure("died")
        if time.monotonic() > deadline:
            end = f"; {daemons[-1].name} says:\n{tail(daemons[-1].log)}" if daemons else ""
            raise HarnessError(f"{what}: not after {timeout:.0f} s{end}")
        time.sleep(interval)
