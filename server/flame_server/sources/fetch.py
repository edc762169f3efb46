"""Fetches the sources of an ingestion, each to a folder: `flame-mcp index fetch`, the first step."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from flame_server.errors import FlameMcpError
from flame_server.sources import archive, git, volume
from flame_server.sources.web import check_address, trusted

FETCHED = "sources.json"
"""The file in which `fetch` describes the fetched sources for `build`."""
Name = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Url = Annotated[str, AfterValidator(check_address)]
SiteUrl = Annotated[
    str,
    Field(
        max_length=256,
        pattern=r"^https://[-A-Za-z0-9._:\[\]]+(/[-A-Za-z0-9._~:@!$&'()*+,;=%/]*(\{path\}[-A-Za-z0-9._~:@!$&'()*+,;=%/]*)?)?$",
    ),
]
Report = Callable[[str], None]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class Git(_Model):
    """A git repository."""

    url: Url
    ref: str = "main"
    path: str = "doc"


class Http(_Model):
    """An archive at an https URL."""

    url: Url
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class Mounted(_Model):
    """A folder that is mounted into the pod."""

    path: str | None = None


class Bundled(_Model):
    """The docs of the index in the image."""


class Source(_Model):
    """A source of docs: exactly one of the members is set."""

    name: Name
    git: Git | None = None
    http: Http | None = None
    config_map: Mounted | None = None
    persistent_volume_claim: Mounted | None = None
    bundled: Bundled | None = None
    site_url: Annotated[SiteUrl | None, Field(alias="siteURL")] = None

    @model_validator(mode="after")
    def _one_member(self) -> "Source":
        members = (self.git, self.http, self.config_map, self.persistent_volume_claim, self.bundled)
        if sum(member is not None for member in members) != 1:
            raise ValueError("give exactly one of git, http, configMap, persistentVolumeClaim, bundled")
        return self


_SOURCES = TypeAdapter(Annotated[tuple[Source, ...], Field(min_length=1, max_length=16)])


@dataclass(frozen=True)
class Fetched:
    """A source that was fetched.

    Attributes:
        root: Nothing outside this folder is read; empty for the docs of the index in the image.
        path: The folder of pages inside it; None looks for one.
        revision: Identifies the content: a commit or a checksum.
        origin: Where it came from, for people.
        site_url: The address of its site, as in its source; empty for none.
        repository: The address of the git repository that it is; empty for anything else.
    """

    name: str
    root: str
    path: str | None
    revision: str
    origin: str
    site_url: str = ""
    repository: str = ""


def read_sources(text: str) -> tuple[Source, ...]:
    """Reads sources from JSON, or from a file when the text is `@FILE`.

    Raises:
        FlameMcpError: They cannot be read, or are invalid.
    """
    try:
        found = _SOURCES.validate_json(Path(text[1:]).read_bytes() if text.startswith("@") else text)
    except OSError as error:
        raise FlameMcpError(f"{text[1:]} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise FlameMcpError(f"these are not valid sources: {'; '.join(problems)}") from error
    names = [source.name for source in found]
    if len(set(names)) < len(names):
        raise FlameMcpError("two sources have the same name: give each its own")
    return found


def fetch(sources: Sequence[Source], out: Path, mounts: Path, credentials: Path, report: Report) -> str:
    """Fetches all sources into folders below `out`.

    Args:
        sources: The sources to fetch.
        out: A folder, which is created if needed.
        mounts: The folder of mounted docs, with a folder for each source.
        credentials: The folder of credentials, with a folder for each source.
        report: Called with lines about progress.

    Returns:
        The revisions of all sources, for people.

    Raises:
        FlameMcpError: A source cannot be fetched; the text names it.
    """
    found = []
    for source in sources:
        try:
            folder = _emptied(out / source.name)
            one = _fetched(source, folder, mounts / source.name, credentials / source.name, report)
            one = replace(
                one, site_url=source.site_url or "", repository=source.git.url if source.git else ""
            )
        except FlameMcpError as error:
            # The same error, with the name of the source before its text.
            error.args = (f"source {source.name}: {error}",)
            raise
        report(f"{source.name}: {one.origin}" + (f" at {one.revision}" if one.revision else ""))
        found.append(one)
    with _writing(out):
        (out / FETCHED).write_text(json.dumps([asdict(one) for one in found]), encoding="utf-8")
    return revisions(found)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FlameMcpError(f"{folder} cannot be written: {error.strerror or error}") from error


def _emptied(folder: Path) -> Path:
    """An empty folder: remains of an earlier attempt would be taken for pages."""
    with _writing(folder):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    return folder


def read_fetched(folder: Path) -> list[Fetched]:
    """Reads what `fetch` wrote.

    Raises:
        FlameMcpError: The folder holds no fetched sources.
    """
    try:
        return [Fetched(**one) for one in json.loads((folder / FETCHED).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise FlameMcpError(f"{folder} holds nothing that index fetch wrote: {error}") from error


def revisions(found: Sequence[Fetched]) -> str:
    """The revision of a single source, or the revisions of several with their names."""
    if len(found) == 1:
        return found[0].revision
    return ", ".join(f"{one.name}@{one.revision[:19]}" for one in found if one.revision)


def _fetched(source: Source, folder: Path, mount: Path, secrets: Path, report: Report) -> Fetched:
    if source.git:
        report(f"{source.name}: reading {source.git.url} at {source.git.ref}")
        commit = git.clone(source.git.url, source.git.ref, folder, _access(secrets))
        return Fetched(source.name, str(folder), source.git.path, commit, source.git.url)
    if source.http:
        return _unpacked(source.name, source.http, folder, _archive_access(secrets), report)
    mounted = source.config_map or source.persistent_volume_claim
    if mounted:
        if not mount.is_dir():
            raise FlameMcpError(f"{mount} isn't there: mount the docs at that folder")
        with _writing(folder):
            copied = volume.copy(mount, mounted.path, folder, lambda line: report(f"{source.name}: {line}"))
        return Fetched(source.name, str(folder), copied.path, copied.revision, "a volume")
    return Fetched(source.name, "", None, "", "the docs of the image")


def _unpacked(name: str, http: Http, folder: Path, access: archive.Access, report: Report) -> Fetched:
    report(f"{name}: loading {http.url}")
    file = folder.with_name(f"{name}.archive")
    checksum = archive.download(http.url, http.sha256, file, access)
    try:
        root = archive.unpack(file, folder)
    except FlameMcpError as error:
        raise FlameMcpError(f"{http.url}: {error}") from error
    finally:
        file.unlink(missing_ok=True)
    return Fetched(name, str(root), None, f"sha256:{checksum[:12]}", http.url)


def _access(folder: Path) -> git.Access:
    authorities = folder / "ca.crt"
    return git.Access(
        username=_secret(folder / "username") or "git",
        password=_secret(folder / "password"),
        ca_file=authorities if authorities.exists() else None,
    )


def _archive_access(folder: Path) -> archive.Access:
    authorities = folder / "ca.crt"
    return archive.Access(
        username=_secret(folder / "username"),
        password=_secret(folder / "password"),
        verify=trusted(authorities) if authorities.exists() else True,
    )


def _secret(path: Path) -> str | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise FlameMcpError(f"{path} cannot be read: {type(error).__name__}") from error
    # Only the final newline is removed: blanks may be part of a password.
    return text.removesuffix("\n").removesuffix("\r") or None
