"""A Docker engine: the user's own, or Debian's dockerd started by the harness and stopped by `down`."""

import functools
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.harness import cgroups, packages, paths
from tests.harness.console import step
from tests.harness.errors import HarnessError
from tests.harness.proc import Daemon, environment, run, tail, wait_for

_STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers. `host` is None for the one that `docker` finds by itself."""

    host: str | None

    @property
    def own(self) -> bool:
        """Whether the harness started it."""
        return self.host is not None

    def _environment(self) -> dict[str, str]:
        # The plain builder: the Dockerfiles promise to need nothing else, and Debian ships no buildx.
        chosen = {"DOCKER_HOST": self.host} if self.host else {}
        return {"DOCKER_BUILDKIT": "0", **chosen}

    def docker(
        self,
        *args: str | Path,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - subprocess.run's name
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs the docker command line against this engine; see `proc.run` for what it raises."""
        return run(["docker", *args], check=check, text_input=input, timeout=timeout, env=self._environment())

    def image_id(self, ref: str) -> str | None:
        """`sha256:...`, or None when the engine hasn't got the image."""
        found = self.docker("image", "inspect", "--format", "{{.Id}}", ref, check=False)
        return found.stdout.strip() if found.returncode == 0 else None

    def build(
        self, dockerfile: Path, tag: str, context: Path, build_args: Mapping[str, str] | None = None
    ) -> str:
        """Builds an image on the host's network and returns its id; the output goes to a log.

        Raises:
            HarnessError: the build failed; shows the end of the log.
        """
        log = paths.logs() / f"build-{tag.replace('/', '_').replace(':', '_')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        argv = ["docker", "build", "--force-rm", "--network=host", f"--file={dockerfile}", f"--tag={tag}"]
        argv += [f"--build-arg={name}={value}" for name, value in (build_args or {}).items()]
        with step(f"docker build {tag}"):
            if self._logged([*argv, str(context)], log) != 0:
                raise HarnessError(f"building {tag} from {dockerfile} failed:\n{tail(log)}")
        image_id = self.image_id(tag)
        if image_id is None:
            raise HarnessError(f"the build of {tag} left no image:\n{tail(log)}")
        return image_id

    def _logged(self, argv: list[str], log: Path) -> int:
        with log.open("wb") as output:
            return subprocess.run(
                argv,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(self._environment()),
            ).returncode


def _daemon() -> Daemon:
    return Daemon("dockerd", paths.state(), paths.logs())


def _own_host() -> str:
    return f"unix://{paths.RUN}/docker.sock"


def _answers(host: str | None) -> bool:
    argv = ["docker", "info", "--format", "{{.ServerVersion}}"]
    chosen = {"DOCKER_HOST": host} if host else None
    try:
        # Old command lines end with 0 although no engine answered; the version is empty then.
        done = run(argv, check=False, timeout=15, env=chosen)
    except HarnessError:  # not installed, or hanging
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def users() -> Engine | None:
    """The user's own engine (DOCKER_HOST, context or default socket), if one answers."""
    return Engine(None) if _answers(None) else None


def running() -> Engine | None:
    """The engine that the harness itself has running, if it answers."""
    alive = _daemon().identity() is not None and _answers(_own_host())
    return Engine(_own_host()) if alive else None


def ensure() -> Engine:
    """An engine that answers: the user's own, else the harness's, which is started if need be.

    Raises:
        HarnessError: there is none, and one can't be started; says why.
    """
    if os.environ.get("DOCKER_HOST") and not _answers(None):
        raise HarnessError(
            f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}: start it or unset it"
        )
    return running() or users() or _start()


def _start() -> Engine:
    packages.require_root("a Docker engine of the harness's own")
    packages.require(packages.ENGINE)
    if (engine := users()) is not None:  # where there is systemd, installing the package has started it
        return engine
    stop()
    cgroups.create()
    daemon = _daemon()
    with step("Docker engine"):
        cgroups.adopt(daemon.start(_command_line()))
        wait_for("the Docker engine to answer", lambda: _answers(_own_host()), timeout=60, needs=[daemon])
    return Engine(_own_host())


def data_root() -> Path:
    """Images and build cache outlive `down`, as a Docker engine of the user's own would keep them."""
    return paths.cache() / "docker"


def _command_line() -> list[str]:
    for folder in (data_root(), paths.RUN, paths.state()):
        folder.mkdir(parents=True, exist_ok=True)
    configuration = paths.state() / "docker.json"  # not the machine's own, which may say something else
    configuration.write_text("{}\n")
    return [
        "dockerd", f"--config-file={configuration}", f"--data-root={data_root()}",
        f"--exec-root={paths.RUN}/docker", f"--pidfile={paths.RUN}/docker.pid", f"--host={_own_host()}",
        f"--cgroup-parent={cgroups.ENGINE}", "--exec-opt=native.cgroupdriver=cgroupfs",
        "--iptables=false", "--bridge=none", "--log-level=warn",
    ]  # fmt: skip


def stop() -> None:
    """Stops the harness's own engine, its containers included."""
    if (engine := running()) is not None and (containers := engine.docker("ps", "--quiet").stdout.split()):
        engine.docker("kill", *containers, check=False)  # asked to end, each may take 10 s
    _daemon().stop(_STOP_SECONDS)


@functools.cache
def pullable(engine: Engine, image: str) -> bool:
    """Whether a registry hands out the image; asked once per process and image, within 20 s."""
    try:
        return engine.docker("manifest", "inspect", image, check=False, timeout=20).returncode == 0
    except HarnessError:
        return False
