"""The stand-in of Qdrant as a process: what tests on a cluster rely on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import httpx
import pytest

from flame_server.publishing.publish import publish_index
from flame_server.publishing.restore import restore_kept
from flame_server.publishing.snapshots import list_snapshots, take_snapshot
from flame_server.qdrant.connection import QdrantTarget
from tests.support.server.qdrant_server import KEY, READ_KEY
from tests.support.server.server_process import free_port, get, wait_for
from tests.support.server.small_docs import quiet

WRITER, READER = {"api-key": KEY}, {"api-key": READ_KEY}


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[str]:
    """A stand-in with two keys, which is stopped as a pod is."""
    port = free_port()
    command = [sys.executable, "-m", "tests.qdrant_standin", "--host", "127.0.0.1", *arguments]
    command += ["--storage", str(folder / "storage"), "--snapshots", str(folder / "snapshots")]
    keys = {"QDRANT__SERVICE__API_KEY": KEY, "QDRANT__SERVICE__READ_ONLY_API_KEY": READ_KEY}
    variables = {**os.environ, **keys, "QDRANT__SERVICE__HTTP_PORT": str(port)}
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: get(port, "/readyz")[0] == 200, "stand-in")
            yield f"http://127.0.0.1:{port}"
            process.send_signal(signal.SIGTERM)
            # One second for requests that are under way, the rest for a slow machine.
            process.wait(5)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("standin")) as found:
        yield found


def test_probes_need_no_key_and_metrics_do(url: str) -> None:
    for path in ("/", "/readyz", "/livez", "/healthz"):
        assert httpx.get(url + path).status_code == 200
    assert httpx.get(url).json()["title"].startswith("qdrant")
    assert httpx.get(f"{url}/metrics").status_code == 401
    assert "collections_total 0" in httpx.get(f"{url}/metrics", headers=READER).text
    assert httpx.get(f"{url}/cluster", headers=READER).json()["result"] == {"status": "disabled"}


def test_a_key_for_all_and_a_key_for_reading(url: str) -> None:
    wrong = {"api-key": "wrong"}
    for path, method in (
        ("/collections", "GET"),
        ("/collections/x", "PUT"),
        ("/collections/x/snapshots", "POST"),
    ):
        for headers in ({}, wrong):
            assert httpx.request(method, url + path, headers=headers).status_code == 401
    assert httpx.get(f"{url}/collections", headers=READER).status_code == 200
    assert httpx.put(f"{url}/collections/x", headers=READER, json={}).status_code == 403
    assert httpx.get(f"{url}/collections/x", headers=READER).status_code == 404
    assert httpx.get(f"{url}/collections/x/exists", headers=READER).json()["result"] == {"exists": False}
    assert httpx.put(f"{url}/collections/x", headers=WRITER, json={"vectors": {}}).json()["result"] is True
    patch = {"metadata": {"a": 1}}
    assert httpx.patch(f"{url}/collections/x", headers=WRITER, json=patch).json()["result"] is True
    rename = {"rename_alias": {"old_alias_name": "a", "new_alias_name": "b"}}
    create = {"create_alias": {"alias_name": "a", "collection_name": "x"}}
    actions = {"actions": [create, rename]}
    assert httpx.post(f"{url}/collections/aliases", headers=WRITER, json=actions).json()["result"] is True
    aliases = httpx.get(f"{url}/collections/x/aliases", headers=READER).json()["result"]["aliases"]
    assert aliases == [{"alias_name": "b", "collection_name": "x"}]
    assert httpx.delete(f"{url}/collections/x", headers=WRITER).json()["result"] is True
    assert httpx.post(f"{url}/collections/x/snapshots", headers=WRITER).status_code == 404


def test_all_that_it_holds_outlives_a_restart(lexical_index: Path, tmp_path: Path) -> None:
    with running(tmp_path) as url:
        target = QdrantTarget(url, "flame-docs", KEY)
        published = publish_index(lexical_index, target, quiet)
        taken = take_snapshot(target, 2, quiet).snapshot
    with running(tmp_path, "--uri", "http://a:6335", "--bootstrap", "http://b:6335") as url:
        target = QdrantTarget(url, "flame-docs", KEY)
        again = publish_index(lexical_index, target, quiet)
        assert (again.collection, again.previous) == (published.collection, None)
        assert list(list_snapshots(target, quiet)) == [taken]
        restored = restore_kept(target, taken.name, quiet, PurePosixPath(tmp_path, "snapshots"))
    with running(tmp_path) as url:
        aliases = httpx.get(f"{url}/aliases", headers=READER).json()["result"]["aliases"]
        assert aliases == [{"alias_name": "flame-docs", "collection_name": restored.collection}]
        count = httpx.post(f"{url}/collections/flame-docs/points/count", headers=READER, json={"exact": True})
        assert count.json()["result"] == {"count": 4}
