"""Where the pages of a source are on the web: a template of their addresses."""

from urllib.parse import quote, urlsplit

FLAME = "https://docs.flame-engine.org/{version}/{path}.html"
"""The template of the Flame docs: `{path}` stands for a page's path without its ending."""
_FLAME_REPOSITORY = ("github.com", "/flame-engine/flame")
_BLOBS = {"github.com": "blob", "gitlab.com": "-/blob"}


def template(site_url: str, repository: str = "", commit: str = "", folder: str = "") -> str:
    """The template of the addresses of a source's pages; empty when nobody knows where they are.

    Args:
        site_url: The address of the site, perhaps with `{path}`; empty when none was given.
        repository: The address of the git repository that the pages come from, or nothing.
        commit: The commit that was read.
        folder: The folder of the pages in the repository.
    """
    if site_url:
        return site_url if "{path}" in site_url else f"{site_url.rstrip('/')}/{{path}}.html"
    parts = urlsplit(repository)
    host, path = (parts.hostname or "").removeprefix("www."), parts.path.rstrip("/").removesuffix(".git")
    if (host, path.lower(), folder.strip("/")) == (*_FLAME_REPOSITORY, "doc"):
        return FLAME
    if host not in _BLOBS or not commit:
        return ""
    inside = quote(folder.strip("/").removeprefix("./"))
    below = f"/{inside}" if inside not in {"", "."} else ""
    return f"https://{host}{quote(path)}/{_BLOBS[host]}/{quote(commit)}{below}/{{path}}.md"
