"""What a service says about a failure. It may repeat anything: the key, the texts, or a lie for the log."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

MAX_WORDS = 200
_HIDDEN = "…"
_READ = 1_000
_FIELDS = ("message", "msg", "detail", "error", "errors")
_DEPTH = 4
_ITEMS = 3
# So long a part of a query, or of the texts of a build, is an echo and no coincidence.
_ECHO, _LONG_ECHO = 8, 40
_SHORTEST_ECHO = 3
# So long a part of our own secret gives its word away.
_PART = 4
_SPREAD = 6
_WORD = re.compile(r"[\w.-]{1,64}", re.ASCII)
_ADDRESS = re.compile(r"\b\w[\w+.-]*://\S*")
# What follows the name of a credential.
_NAMED = re.compile(
    r"(?i)\b(?:(bearer|basic)\s+|(\w*(?:key|token|secret|password))\b['\"]?(?:\s+(?:provided|given|is))?\s*[:=]\s*)\S+"
)
_CREDENTIAL = re.compile(
    r"""(?x)
    .*\*{2,}.* | .+\.{3}.+                                          # masked
    | \W*(?:sk|pk|rk|hf|gsk|xai|ghp|gho|glpat|pplx|nvapi)[-_].+     # keys of well-known services
    | \W*(?:eyJ|AKIA|AIza|ya29).+
    | .*[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-.*             # a UUID
    | .*[0-9A-Za-z]{32}.*
    | .*(?=[A-Za-z]*[0-9])[0-9A-Za-z]{16}.*                         # a long word with a digit
    """,
    re.ASCII,
)


def said(body: object, depth: int = 0) -> str:
    """The words about a failure in the body of an answer, not cleaned; empty if there are none.

    Args:
        body: JSON, or text that is none.
        depth: How deep the body lies in another.
    """
    if isinstance(body, str):
        text = body[: 2 * _READ]
        return "" if text.lstrip().startswith("<") else text
    if depth < _DEPTH and isinstance(body, list):
        return "; ".join(filter(None, (said(item, depth + 1) for item in body[:_ITEMS])))
    if depth < _DEPTH and isinstance(body, dict):
        for field in _FIELDS:
            if text := said(body.get(field), depth + 1):
                return ": ".join([*_places(body, text), text])
    return ""


def _places(body: dict[str, object], text: str) -> Iterator[str]:
    """What in the request the words are about."""
    place = body.get("param") or body.get("loc")
    if isinstance(place, list):
        place = ".".join(str(part) for part in place[:_DEPTH] if isinstance(part, str | int))
    if isinstance(place, str) and place and place not in text:
        yield place[:_READ]


def cleaned(text: str, secrets: Sequence[str] = (), texts: Sequence[str] = ()) -> str:
    """The words on one line of at most `MAX_WORDS` printable characters, with `…` for what must not be told.

    That is what looks like a credential or an address, what is like a part of `secrets`, and what repeats
    one of `texts`.
    """
    line = _without_echoes(_line(text[: 2 * _READ])[:_READ], texts)
    line = _NAMED.sub(lambda found: f"{found[1] or found[2]} {_HIDDEN}", _ADDRESS.sub(_HIDDEN, line))
    parts = _parts(secrets)
    sizes = {len(part) for part in parts}
    words = [_HIDDEN if _tells(word, parts, sizes) else word for word in line.split()]
    kept = [
        word for place, word in enumerate(words) if word != _HIDDEN or words[place - 1 : place] != [_HIDDEN]
    ]
    line = " ".join(kept).replace('"', "'")
    line = line if len(line) <= MAX_WORDS else f"{line[: MAX_WORDS - 1].rstrip()}{_HIDDEN}"
    # A secret with something between its letters.
    letters = _letters(line)
    spread = any(part in letters for part in _parts([_letters(secret) for secret in secrets], _SPREAD))
    return "" if spread or not re.search(r"\w", line) else line


def word(given: object, secrets: Sequence[str] = ()) -> str:
    """A word that the service says, such as a code; empty if it is none, or must not be told."""
    if isinstance(given, str) and _WORD.fullmatch(given) and cleaned(given, secrets) == given:
        return given
    return ""


def _line(text: str) -> str:
    """On one line, letters in their plain form, without what cannot be seen."""
    plain = unicodedata.normalize("NFKC", text)
    seen = (" " if character.isspace() else character for character in plain)
    return " ".join("".join(character for character in seen if character.isprintable()).split())


def _tells(word: str, parts: set[str], sizes: set[int]) -> bool:
    folded = word.casefold()
    return bool(_CREDENTIAL.fullmatch(word)) or any(
        folded[start : start + size] in parts for size in sizes for start in range(len(folded))
    )


def _parts(secrets: Sequence[str], size: int = _PART) -> set[str]:
    folded = [secret.casefold() for secret in secrets if secret]
    return {one[at : at + size] for one in folded for at in range(max(len(one) - size, 0) + 1)}


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold())) or text


def _without_echoes(line: str, texts: Sequence[str]) -> str:
    """The line without parts of the texts. Of a batch only long ones: short ones are in any text."""
    lines = [_line(text) for text in texts]
    heard = "\n".join(lines)
    size = min(_ECHO, len(heard)) if len(lines) == 1 else _LONG_ECHO
    if size < _SHORTEST_ECHO:
        return line
    kept, at = [], 0
    while at < len(line):
        end = at + size
        if end > len(line) or line[at:end] not in heard:
            kept.append(line[at])
            at += 1
            continue
        while end < len(line) and line[at : end + 1] in heard:
            end += 1
        kept.append(_HIDDEN)
        at = end
    return "".join(kept)
