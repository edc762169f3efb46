"""What the sampler's stacks say. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

Stacks = Sequence[tuple[Sequence[str], int]]
"""Stacks of `file function`, outermost first, each with how often it was met."""

# A part of the work is whatever runs below the innermost of these.
PARTS = {
    "kopf/": "kopf: the watches and their events",
    "flame_operator/informer/watch.py": "our handler of events, with the cache",
    "flame_operator/api/kube.py": "requests: serialization, HTTP, TLS",
    "flame_operator/api/transport.py": "requests: serialization, HTTP, TLS",
    "flame_operator/informer/cache.py": "the cache",
    "flame_operator/": "the rest of our own code",
    "structlog/": "the log",
}


def as_text(stacks: Stacks, cpu_ms: float, *, functions: int = 40) -> str:
    """Three tables: by part of the work, by function in its own code, by function with all that it calls.

    Args:
        stacks: What was sampled.
        cpu_ms: The processor time that the samples stand for, per resource.
        functions: How many functions to show in the second table; in the third it is twice as many.
    """
    samples = sum(count for _, count in stacks)
    parts: Counter[str] = Counter()
    itself: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for stack, count in stacks:
        parts[_part(stack)] += count
        itself[stack[-1]] += count
        for function in set(stack):
            within[function] += count

    def table(title: str, rows: Iterable[tuple[str, int]]) -> list[str]:
        return [title, *(f"  {cpu_ms * count / samples:7.3f}  {name}" for name, count in rows), ""]

    return "\n".join(
        [
            f"profile: {samples} samples, figures in milliseconds of CPU per resource",
            "",
            *table("by part of the work", parts.most_common()),
            *table("by function, in its own code", itself.most_common(functions)),
            *table("by function, with all that it calls", within.most_common(2 * functions)),
        ]
    )


def _part(stack: Sequence[str]) -> str:
    for function in reversed(stack):
        for prefix, part in PARTS.items():
            if function.startswith(prefix):
                # The command line encloses everything: what has only that is the loop's.
                return "asyncio: the loop, sockets, TLS" if function.endswith("cli.py run") else part
    return "asyncio: the loop, sockets, TLS"
