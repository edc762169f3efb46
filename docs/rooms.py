"""Draws the rooms of both programs and their arrows, from the real imports: `make docs`.

Writes docs/operator-rooms.svg and docs/server-rooms.svg, and the tables of rooms in docs/architecture.md.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PROGRAMS = {"flame_operator": "operator", "flame_server": "server"}

WIDTH, HEIGHT = 280, 133
GAP_X, GAP_Y, MARGIN = 26, 40, 24
LINES, COLUMNS = 6, 39
HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" \
aria-label="The rooms of {package} and what they import">
<style>
text {{ font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f; }}
.name {{ font-size: 15px; font-weight: 600; }}
.says {{ font-size: 12px; }}
.modules {{ font-size: 12px; fill: #0969da; }}
.room {{ fill: #fff8f0; stroke: #e8590c; stroke-width: 1.2; }}
.ground {{ fill: #f3f4f6; stroke: #8c959f; stroke-width: 1.2; }}
.arrow {{ fill: none; stroke: #8c959f; stroke-width: 1.3; marker-end: url(#head); }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0,0 L8,4 L0,8 z" fill="#8c959f"/></marker></defs>
<rect width="{width:.0f}" height="{height:.0f}" rx="12" fill="#ffffff"/>"""

Arrows = Mapping[str, frozenset[str]]
"""Each room, and the rooms that it imports."""
Places = Mapping[str, tuple[float, float]]
"""The upper left corner of each box and lane, in pixels."""


class Room(NamedTuple):
    """A package, or a module on the top level."""

    says: str
    """The first line of its docstring."""
    modules: tuple[str, ...]
    """Its modules, and with a slash its rooms inside."""


class House(NamedTuple):
    """One program."""

    package: str
    rooms: Mapping[str, Room]
    arrows: Arrows
    ground: tuple[str, ...]
    """Modules on the top level that import nothing: every room may use them, so no arrow is drawn to them."""


def house(package: str) -> House:
    """The rooms of a package and what they import, read from its code."""
    graph = grimp.build_graph(package, cache_dir=None)
    room_of = {
        name: name.split(".")[1] for name in graph.modules if name != package and "__main__" not in name
    }
    arrows: dict[str, set[str]] = {room: set() for room in sorted(set(room_of.values()))}
    for module, room in room_of.items():
        targets = {room_of.get(target, room) for target in graph.find_modules_directly_imported_by(module)}
        arrows[room] |= targets - {room}
    rooms = {name: _room(package, name) for name in arrows}
    ground = tuple(name for name in arrows if not (arrows[name] or rooms[name].modules))
    return House(package, rooms, {name: frozenset(targets) for name, targets in arrows.items()}, ground)


def _room(package: str, name: str) -> Room:
    spec = find_spec(f"{package}.{name}")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package}.{name}")
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or ""
    inside = [
        path for folder in spec.submodule_search_locations or () for path in Path(folder).glob("[a-z]*")
    ]
    modules = (
        path.stem if path.suffix == ".py" else f"{path.name}/"
        for path in inside
        if path.suffix == ".py" or (path / "__init__.py").exists()
    )
    return Room(text.partition("\n")[0], tuple(sorted(modules)))


def floors(arrows: Arrows) -> dict[str, int]:
    """The floor of each room: one above the highest room that it imports, and 0 for those that import none.

    Raises:
        ValueError: Rooms import each other in a circle.
    """
    found: dict[str, int] = {}
    while len(found) < len(arrows):
        ready = [room for room, targets in arrows.items() if room not in found and targets <= found.keys()]
        if not ready:
            raise ValueError(f"rooms import each other in a circle: {sorted(arrows.keys() - found.keys())}")
        found |= {room: max((found[target] + 1 for target in arrows[room]), default=0) for room in ready}
    return found


def direct(arrows: Arrows) -> dict[str, frozenset[str]]:
    """The arrows without those that a longer way shows as well (the transitive reduction)."""
    reach: dict[str, frozenset[str]] = {}
    for room in sorted(arrows, key=floors(arrows).__getitem__):
        reach[room] = arrows[room].union(*(reach[target] for target in arrows[room]))
    return {
        room: frozenset(one for one in targets if not any(one in reach[other] for other in targets - {one}))
        for room, targets in arrows.items()
    }


def drawn(program: House) -> str:
    """The picture of a program, as SVG: rooms above all that they import."""
    arrows = direct(
        {
            room: targets - set(program.ground)
            for room, targets in program.arrows.items()
            if room not in program.ground
        }
    )
    rows, ways = _rows(arrows)
    places = _places([*rows, list(program.ground)])
    width = max(x + _width(name) for name, (x, _) in places.items()) + MARGIN
    height = max(y for _, y in places.values()) + HEIGHT + MARGIN
    head = HEAD.format(width=width, height=height, package=program.package)
    boxes = [line for name in program.rooms for line in _box(program, name, places[name])]
    return "\n".join([head, *(_arrow(way, ways, places) for way in ways), *boxes, "</svg>", ""])


def _rows(arrows: Arrows) -> tuple[list[list[str]], list[tuple[str, ...]]]:
    """Rows by floor, the highest first, and the way of each arrow from row to row.

    An arrow over several floors has a lane in each row between, so that it crosses no room. In each row, a
    room stands below those that import it.
    """
    floor = floors(arrows)
    rows: dict[int, list[str]] = {level: [] for level in range(max(floor.values()), -1, -1)}
    ways: list[tuple[str, ...]] = []
    for room in sorted(arrows):
        rows[floor[room]].append(room)
        for target in sorted(arrows[room]):
            between = range(floor[room] - 1, floor[target], -1)
            lanes = [f"{room}>{target}@{level}" for level in between]
            for level, lane in zip(between, lanes, strict=True):
                rows[level].append(lane)
            ways.append((room, *lanes, target))
    above: dict[str, list[str]] = {}
    for upper, lower in (step for way in ways for step in pairwise(way)):
        above.setdefault(lower, []).append(upper)
    position: dict[str, float] = {}
    for names in rows.values():
        names.sort(
            key=lambda name: mean(position[user] for user in above.get(name, ())) if name in above else 0
        )
        position |= {name: index - (len(names) - 1) / 2 for index, name in enumerate(names)}
    return list(rows.values()), ways


def _places(rows: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Where each box and lane is: rows are centred."""
    widths = [sum(map(_width, names)) + GAP_X * (len(names) - 1) for names in rows]
    places: dict[str, tuple[float, float]] = {}
    for number, names in enumerate(rows):
        x = MARGIN + (max(widths) - widths[number]) / 2
        for name in names:
            places[name] = (x, MARGIN + number * (HEIGHT + GAP_Y))
            x += _width(name) + GAP_X
    return places


def _width(name: str) -> int:
    return 0 if "@" in name else WIDTH


def _arrow(way: tuple[str, ...], ways: list[tuple[str, ...]], places: Places) -> str:
    """One arrow. Where several leave or enter a box, they are spread over its edge."""

    def end(name: str, other: str, *, above: bool) -> tuple[float, float]:
        steps = [step for each in ways for step in pairwise(each)]
        others = (
            [upper for upper, lower in steps if lower == name]
            if above
            else [lower for upper, lower in steps if upper == name]
        )
        others.sort(key=lambda one: places[one])
        x, y = places[name]
        share = (others.index(other) + 1) / (len(others) + 1)
        return x + _width(name) * share, y - 2 if above else y + HEIGHT

    path = ""
    for upper, lower in pairwise(way):
        (x, y), (to_x, to_y) = end(upper, lower, above=False), end(lower, upper, above=True)
        bend = (to_y - y) / 2
        path += f"{'L' if path else 'M'}{x:.0f},{y:.0f} "
        path += f"C{x:.0f},{y + bend:.0f} {to_x:.0f},{to_y - bend:.0f} {to_x:.0f},{to_y:.0f} "
    return f'<path class="arrow" d="{path.strip()}"/>'


def _box(program: House, name: str, place: tuple[float, float]) -> Iterator[str]:
    (x, y), room = place, program.rooms[name]
    kind = "ground" if name in program.ground else "room"
    yield f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
    yield f'<text class="name" x="{x + 12:.0f}" y="{y + 23:.0f}">{escape(name)}</text>'
    says = _wrapped(room.says, 3)
    lines = [("says", line) for line in says]
    lines += [("modules", line) for line in _wrapped(", ".join(room.modules), LINES - len(says))]
    for number, (style, line) in enumerate(lines):
        yield f'<text class="{style}" x="{x + 12:.0f}" y="{y + 42 + 15 * number:.0f}">{escape(line)}</text>'


def _wrapped(text: str, most: int) -> list[str]:
    return textwrap.wrap(text.replace("`", ""), COLUMNS, max_lines=most, placeholder=" …")


def table(program: House) -> str:
    """The rooms of a program from the top floor down, as a Markdown table."""
    floor = floors(program.arrows)
    names = sorted(program.arrows, key=lambda room: (-floor[room], room))
    rows = (f"| `{name}` | {program.rooms[name].says} | {_imports(program, name)} |" for name in names)
    return "\n".join(("| room | what it is for | it imports |", "| --- | --- | --- |", *rows))


def _imports(program: House, room: str) -> str:
    return ", ".join(f"`{name}`" for name in sorted(program.arrows[room])) or "nothing"


def filled(page: str, houses: Iterable[House]) -> str:
    """A page with each program's table between its two marks.

    Raises:
        ValueError: The page lacks a mark.
    """
    for program in houses:
        begin, end = (f"<!-- {word} of the rooms of {program.package} -->" for word in ("begin", "end"))
        before, rest = page.split(begin)
        _, after = rest.split(end)
        page = f"{before}{begin}\n{table(program)}\n{end}{after}"
    return page


def main() -> None:
    """Write the pictures and the tables."""
    houses = [house(package) for package in PROGRAMS]
    for program in houses:
        (ROOT / "docs" / f"{PROGRAMS[program.package]}-rooms.svg").write_text(drawn(program))
    PAGE.write_text(filled(PAGE.read_text(), houses))


if __name__ == "__main__":
    main()
