"""What was measured, what is wanted, and both as a table. Pure."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.operator.workload import Floor
from benchmarks.table import table


@dataclass(frozen=True)
class Phase:
    """What the operator did in a part of the run. Writes include refused ones, but no Leases and Events."""

    seconds: float
    cpu_seconds: float
    writes: int
    events: int
    leases: int
    refused: int
    """Answers of 400 and more."""
    requests: dict[str, int]
    """By verb, all kinds."""


@dataclass(frozen=True)
class Result:
    """A whole run."""

    resources: int
    children: int
    """Of each resource."""
    floors: tuple[Floor, ...]
    """One before and one after the operator's part, each with `floor_resources`."""
    floor_resources: int
    create: Phase
    idle: Phase
    restart: Phase
    repair: Phase
    repaired: int
    """How many Services were deleted."""
    delete: Phase
    start_mib: float
    """Peak memory before there is anything to do."""
    peak_mib: float
    """In the end of the first process's life, and in that of the second, which begins with full lists."""
    restart_peak_mib: float

    @property
    def floor_seconds(self) -> float:
        """What the floor's mean comes to for all resources."""
        mean = sum(floor.write for floor in self.floors) / len(self.floors)
        return mean * self.resources / self.floor_resources

    @property
    def floor_cpu_ms(self) -> float:
        """The bare client's processor time per resource."""
        mean = sum(floor.client_cpu for floor in self.floors) / len(self.floors)
        return 1000 * mean / self.floor_resources


@dataclass(frozen=True)
class Check:
    """One figure and its target, both in the same unit."""

    name: str
    figure: float
    target: float
    unit: str

    @property
    def passed(self) -> bool:
        """Whether the figure, as it is shown, is no more than the target."""
        return round(self.figure, 2) <= self.target


def checks(result: Result) -> list[Check]:
    """The targets that the project has set itself."""
    memory = 100 if result.resources <= 500 else 160
    per_resource = 1 / result.resources
    return [
        Check("writes per resource", result.create.writes * per_resource, result.children + 1, ""),
        Check("events per resource", result.create.events * per_resource, 1, ""),
        Check("time over the floor's", result.create.seconds / result.floor_seconds, 1.3, ""),
        Check("CPU per resource", result.create.cpu_seconds * 1000 * per_resource, 12, "ms"),
        Check("peak memory", max(result.peak_mib, result.restart_peak_mib), memory, "MiB"),
        Check("writes while idle", result.idle.writes, 0, ""),
        Check("writes after a restart", result.restart.writes, 0, ""),
        Check("writes per deleted Service", result.repair.writes / result.repaired, 1, ""),
        Check("writes after deletion of all", result.delete.writes, 0, ""),
    ]


def as_json(result: Result) -> str:
    """For programs."""
    found: dict[str, Any] = asdict(result)
    found["checks"] = [{**asdict(check), "passed": check.passed} for check in checks(result)]
    return json.dumps(found, indent=2)


def as_text(result: Result) -> str:
    """For people."""
    memory = (
        f"peak memory: {result.start_mib:.0f} MiB before there is anything to do, {result.peak_mib:.0f} MiB "
        f"after the first two phases, {result.restart_peak_mib:.0f} MiB after the others"
    )
    return "\n\n".join([_phases(result), _floor(result), memory, _targets(result)])


def _phases(result: Result) -> str:
    phases = {
        f"create {result.resources}": result.create,
        "idle": result.idle,
        "restart": result.restart,
        f"delete {result.repaired} Services": result.repair,
        "delete all": result.delete,
    }
    head = ["phase", "seconds", "CPU s", "writes", "events", "Leases", "refused", "requests"]
    rows = [
        [
            name,
            f"{phase.seconds:.1f}",
            f"{phase.cpu_seconds:.2f}",
            str(phase.writes),
            str(phase.events),
            str(phase.leases),
            str(phase.refused),
            ", ".join(f"{count} {verb}" for verb, count in sorted(phase.requests.items())) or "-",
        ]
        for name, phase in phases.items()
    ]
    return table([head, *rows])


def _floor(result: Result) -> str:
    lines = [
        f"floor: a bare client writes the {result.children} children and the status of "
        f"{result.floor_resources} resources in "
        + " and ".join(f"{floor.write:.1f} s" for floor in result.floors)
        + f" (before and after), with {result.floor_cpu_ms:.1f} ms of its own CPU per resource.",
        "       Creating the resources took it "
        + " and ".join(f"{floor.create:.1f} s" for floor in result.floors)
        + " more, which the operator's time includes and the floor's does not.",
    ]
    return "\n".join(lines)


def _targets(result: Result) -> str:
    rows = [
        [
            check.name,
            f"{check.figure:.2f} {check.unit}".strip(),
            f"<= {check.target:g} {check.unit}".strip(),
            "pass" if check.passed else "FAIL",
        ]
        for check in checks(result)
    ]
    return table([["target", "measured", "wanted", ""], *rows])
