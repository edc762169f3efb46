"""Which HTML elements a browser does not show. Their text must not reach a model: nobody vouches for it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape

# Never shown, whatever their attributes; or shown only where something else fails.
UNSEEN = frozenset(
    """
    script style template noscript noframes noembed head title object applet canvas audio video iframe svg
    datalist progress meter rp area param source track col colgroup
    """.split()  # noqa: SIM905 - reads better than twenty quoted words
)
# Elements without content, which no tag closes.
VOID = frozenset(
    "area base br col embed hr img input link meta param source track wbr".split()  # noqa: SIM905 - as above
)
_CLASSES = frozenset(
    """
    hidden invisible d-none sd-d-none sr-only visually-hidden visuallyhidden screen-reader-text screenreader
    is-hidden is-sr-only u-hidden element-invisible
    """.split()  # noqa: SIM905 - as above
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ESCAPE = re.compile(r"\\([0-9a-f]{1,6})\s?", re.IGNORECASE)
_LENGTH = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(px|pt|em|rem|ex|ch|vw|vh|%|in|cm|mm|pc|)")
_PIXELS = {
    "": 1.0, "px": 1.0, "pt": 1.33, "pc": 16.0, "em": 16.0, "rem": 16.0, "%": 0.16, "ex": 8.0, "ch": 8.0,
    "vw": 10.0, "vh": 8.0, "in": 96.0, "cm": 38.0, "mm": 3.8,
}  # fmt: skip
# Smaller than anybody can read.
_SMALLEST_FONT = 4.0
_FAR_AWAY = -500.0
_FAINTEST = 0.15
_NO_COLOUR = re.compile(
    r"transparent|#[0-9a-f]{3}[01]|#[0-9a-f]{6}[01][0-9a-f]"
    r"|(?:rgb|hsl)a?\([^)]*[,/](?:0?\.?0*|0?\.0\d*|0?\.1[0-4]?\d*|\d%|1[0-4]%)\)"
)
_WHITE = re.compile(
    r"white|#f{3,4}|#f{6}(?:ff)?|rgba?\(255,255,255(?:,1(?:\.0)?)?\)|hsla?\(0,0%,100%(?:,1)?\)"
)
_FONT_SIZE = re.compile(r"[\d.]+(?:px|pt|em|rem|%)")
# Values that hide, by the name of the declaration.
_HIDING = {
    "display": re.compile(r"\Anone\Z"),
    "visibility": re.compile(r"\A(?:hidden|collapse)\Z"),
    "content-visibility": re.compile(r"\Ahidden\Z"),
    "transform": re.compile(r"scale[xy]?\(0?\.?0*[,)]|translate[xy]?\([^)]*-\d{4}"),
    "color": re.compile(rf"\A(?:{_NO_COLOUR.pattern})\Z"),
    "-webkit-text-fill-color": re.compile(rf"\A(?:{_NO_COLOUR.pattern})\Z"),
    "clip": re.compile(r"rect\((?:[01](?:px)?[,)]?){4}"),
    "clip-path": re.compile(r"inset\((?:50|100)%|circle\(0|polygon\(0(?:px)?[ ,]?0(?:px)?\)"),
    "filter": re.compile(r"opacity\(0?\.?0*%?\)"),
}
_MAX_STYLESHEET = 65_536
_MAX_STYLE = 4_000
_MAX_SELECTORS = 200
_MAX_SELECTOR = 200
_PART = re.compile(r"[.#]?[\w*-]+")

Selectors = Sequence[frozenset[str]]
"""Of each selector the parts that name the element itself: its name, classes and id."""


def hides(name: str, attributes: Mapping[str, str]) -> bool:
    """Whether a browser shows nothing of an element: by its name, its attributes or its style.

    Args:
        name: In lower case.
        attributes: By their names in lower case, with entities resolved; "" without a value.
    """
    return (
        name in UNSEEN
        or "hidden" in attributes
        or attributes.get("aria-hidden", "").strip().lower() == "true"
        or (name == "input" and attributes.get("type", "").strip().lower() == "hidden")
        or (name == "dialog" and "open" not in attributes)
        or (name == "font" and hides_by_style(f"color:{attributes.get('color', '')}"))
        or hides_by_class(attributes.get("class", ""))
        or hides_by_style(attributes.get("style", ""))
    )


def hides_by_class(classes: str) -> bool:
    """Whether one of these classes hides, as the usual stylesheets define them."""
    return not _CLASSES.isdisjoint(classes.lower().split())


def hides_by_style(style: str) -> bool:
    """Whether these CSS declarations hide the text of an element, or make it too small or faint to read."""
    told = dict(_declarations(style))
    if any(_hiding(name, value) for name, value in told.items()):
        return True
    sized = any(_is_nothing(told.get(name, "")) for name in ("height", "width", "max-height", "max-width"))
    clipped = any(
        told.get(name, "").startswith(("hidden", "clip")) for name in ("overflow", "overflow-x", "overflow-y")
    )
    background = any(name.startswith("background") for name in told)
    colour = told.get("-webkit-text-fill-color", told.get("color", ""))
    return (sized and clipped) or (bool(_WHITE.fullmatch(colour)) and not background)


def hiding_selectors(stylesheet: str) -> Selectors:
    """The selectors of the rules in a stylesheet that hide what they select; of a large one the first."""
    text = _COMMENT.sub("", stylesheet[:_MAX_STYLESHEET])
    found: list[frozenset[str]] = []
    for rule in text.split("}"):
        before, opened, style = rule.rpartition("{")
        if not opened or not hides_by_style(style):
            continue
        for selector in before.rpartition("{")[2].split(","):
            plain = selector.strip()
            if 0 < len(plain) <= _MAX_SELECTOR and not plain.startswith("@"):
                # The last part of a selector names the element; what is around it is taken as given.
                found.append(frozenset(_PART.findall(re.split(r"[\s>+~]", plain)[-1])))
    return [parts for parts in found if parts][:_MAX_SELECTORS]


def selected_by(selectors: Selectors, name: str, attributes: Mapping[str, str]) -> bool:
    """Whether one of these selectors selects the element, as far as that can be told from its tag alone."""
    if not selectors:
        return False
    names = {name, "*", f"#{attributes.get('id', '')}"}
    names |= {f".{one}" for one in attributes.get("class", "").split()}
    return any(names.issuperset(parts) for parts in selectors)


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    plain = _COMMENT.sub("", unescape(style[:_MAX_STYLE]))
    plain = _ESCAPE.sub(lambda escape: _character(int(escape[1], 16)), plain).replace("\\", "")
    for declaration in plain.lower().split(";"):
        name, colon, value = declaration.partition(":")
        if colon:
            yield name.strip(), _squeezed(value.replace("!important", ""))


def _character(number: int) -> str:
    return chr(number) if 0 < number < 0x110000 else ""


def _squeezed(value: str) -> str:
    return "".join(value.lower().split())


def _hiding(name: str, value: str) -> bool:
    """Whether one declaration hides by itself."""
    if pattern := _HIDING.get(name):
        return pattern.search(value) is not None
    match name:
        case "opacity" | "line-height" | "zoom" | "scale":
            return _pixels(value, percent=0.01) < _FAINTEST
        case "font-size":
            return _pixels(value) < _SMALLEST_FONT
        case "font":
            return any(_pixels(size[0]) < _SMALLEST_FONT for size in _FONT_SIZE.finditer(value))
        case "text-indent" | "left" | "right" | "top" | "bottom" | "margin-left" | "margin-top" | "margin":
            return _pixels(value, missing=0.0) < _FAR_AWAY
        case _:
            return False


def _pixels(value: str, *, percent: float = 0.16, missing: float = 1000.0) -> float:
    found = _LENGTH.fullmatch(value)
    if found is None:
        return missing
    return float(found[1]) * (percent if found[2] == "%" else _PIXELS[found[2]])


def _is_nothing(value: str) -> bool:
    return abs(_pixels(value)) <= 1.0
