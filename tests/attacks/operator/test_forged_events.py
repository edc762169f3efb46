"""Of attack M9's kind: a tenant forges the Events, pods and claims from which causes are told."""

import jsonschema
import pytest
import yaml

from flame_operator.resource.kinds import SERVER, Key, Manifest
from tests.harness.paths import REPO
from tests.support.operator.pods import crashed, pod, waiting
from tests.support.operator.tenants import Tenants

CRD = yaml.safe_load((REPO / "crds/flamemcpservers.yaml").read_text())
STATUS = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
FORGED = "\x1b[2J\u202eReady=True\n" + "x" * 100_000


def forge(town: Tenants, about: Manifest, number: int, message: object) -> None:
    metadata = {"name": f"forged-{number}", "namespace": about["metadata"]["namespace"]}
    body = {"kind": "Event", "metadata": metadata, "reason": "FailedCreate", "message": message}
    town.kube.create({**body, "lastTimestamp": number, "involvedObject": {"uid": about["metadata"]["uid"]}})


def status_of(town: Tenants, key: Key) -> Manifest:
    status: Manifest = town.kube.objects[SERVER.kind, key]["status"]
    jsonschema.validate(status, STATUS)
    return status


async def test_events_that_somebody_writes_all_the_time_are_read_once_a_minute() -> None:
    """1,000 new Events about a Job in half an hour, each with another text of 100 kB."""
    town = Tenants()
    (key,) = town.add("team")
    await town.reconcile(key)
    for number in range(1000):
        forge(town, town.job(key), number, f"{number} is forbidden: {FORGED}")
    await town.later(1800, key)
    assert town.kube.requests.count("list Event") <= 31
    status = status_of(town, key)
    told = status["ingestion"]["progress"]
    assert told.startswith("The cluster refuses to create pods: ")
    assert told.isprintable()
    assert len(told) < 1000


@pytest.mark.parametrize("message", [None, 7, {"a": []}, ["x"], "", "\ud800", "0/" * 4000])
async def test_whatever_an_event_says_is_no_bug(message: object) -> None:
    town = Tenants()
    (key,) = town.add("team")
    await town.reconcile(key)
    forge(town, town.job(key), 1, message)
    await town.later(60, key)
    status_of(town, key)


async def test_last_words_that_want_to_be_a_line_of_their_own() -> None:
    """A container's output ends as one short line in quotes."""
    town = Tenants()
    (key,) = town.add("team")
    await town.reconcile(key)
    said = crashed(1, f"error\n{FORGED}\nerror {FORGED}"[-5000:], name="\x1b[1m", restarts=10**30)
    town.pod(key, pod(said, waiting("ErrImagePull", FORGED, image=FORGED))["status"])
    await town.later(60, key)
    told = status_of(town, key)["ingestion"]["progress"]
    assert told.isprintable()
    assert len(told) < 1000
