"""Which cluster the harness uses, and what it says where it can't."""

from pathlib import Path

import pytest

from tests.harness import cluster as clusters
from tests.harness import images
from tests.harness.errors import HarnessError

OWN = Path("/state/kubeconfig")


@pytest.mark.parametrize(
    ("environment", "running", "kind_possible", "expected"),
    [
        ({}, None, True, "kind"),
        ({}, None, False, "binaries"),
        ({}, "binaries", True, "binaries"),
        ({}, "kind", False, "kind"),
        ({"KUBECONFIG": "/home/me/config"}, "binaries", True, "external"),
        ({"KUBECONFIG": ""}, None, False, "binaries"),
        ({"KUBECONFIG": str(OWN)}, "binaries", False, "binaries"),
        ({"FLAME_CLUSTER": "binaries"}, None, True, "binaries"),
        ({"FLAME_CLUSTER": "binaries", "KUBECONFIG": "/home/me/config"}, None, True, "binaries"),
        ({"FLAME_CLUSTER": "external"}, "binaries", True, "external"),
    ],
)
def test_choice_of_cluster(
    environment: dict[str, str], running: clusters.Kind | None, kind_possible: bool, expected: str
) -> None:
    assert clusters.choose(environment, OWN, running, lambda: kind_possible) == expected


def test_kind_is_not_asked_for_when_the_answer_does_not_matter() -> None:
    def asked() -> bool:
        raise AssertionError

    assert clusters.choose({"FLAME_CLUSTER": "binaries"}, OWN, None, asked) == "binaries"
    assert clusters.choose({}, OWN, "binaries", asked) == "binaries"


@pytest.mark.parametrize(
    ("environment", "running", "hint"),
    [
        ({"FLAME_CLUSTER": "minikube"}, None, "use one of kind, binaries, external"),
        ({"FLAME_CLUSTER": "kind"}, "binaries", "run `down` first"),
    ],
)
def test_impossible_choices_say_what_to_do(
    environment: dict[str, str], running: clusters.Kind | None, hint: str
) -> None:
    with pytest.raises(HarnessError, match=hint):
        clusters.choose(environment, OWN, running, lambda: True)


def test_external_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(HarnessError, match="set KUBECONFIG to a cluster's file, or unset it"):
        clusters.up()


def test_no_image_is_loaded_into_somebody_elses_cluster() -> None:
    class Engine:
        def image_id(self, ref: str) -> str:
            return f"sha256:{ref}"

    with pytest.raises(HarnessError, match="push it to a registry"):
        images.load(clusters.Cluster("external", OWN), Engine(), "server:dev")  # type: ignore[arg-type]  # a double
