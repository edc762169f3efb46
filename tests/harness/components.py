"""Command lines of the control plane's programs, for the bare one and the whole cluster."""

from dataclasses import dataclass
from pathlib import Path

from tests.harness.pki import Authority, Certificate

# All of 198.18.0.0/15 is set aside for tests (RFC 2544), so nothing real is ever shadowed.
SERVICE_RANGE = "198.19.128.0/17"
KUBERNETES_SERVICE = "198.19.128.1"
DNS_SERVICE = "198.19.128.10"
CLUSTER_DOMAIN = "cluster.local"

_MASTERS = "system:masters"
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Endpoints:
    """Where a control plane listens: the API server on `address`, etcd on the loopback."""

    address: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.api_port}"


def etcd(program: Path, data: Path, at: Endpoints) -> list[str]:
    """No fsync: its data is thrown away after a crash anyhow, and tests write a lot.

    It may have more than 2 GiB: attackers write megabytes a second, and old versions go after five minutes.
    """
    client, peer = f"http://{_LOOPBACK}:{at.etcd_port}", f"http://{_LOOPBACK}:{at.etcd_peer_port}"
    return [
        str(program), f"--data-dir={data}", "--unsafe-no-fsync", "--log-level=warn",
        f"--quota-backend-bytes={8 * 1024**3}",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]  # fmt: skip


def api_server(
    program: Path, authority: Authority, at: Endpoints, services: str = SERVICE_RANGE
) -> list[str]:
    """RBAC, node authorizer and aggregation, as on real clusters; Services get addresses of `services`."""
    addresses = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
    addresses += [f"kubernetes.default.svc.{CLUSTER_DOMAIN}", _LOOPBACK, KUBERNETES_SERVICE]
    if at.address not in addresses:
        addresses.append(at.address)
    serving = authority.pair("apiserver", Certificate("kube-apiserver", addresses=addresses, client=False))
    to_kubelet = authority.pair("kubelet-client", Certificate("kube-apiserver-kubelet-client", _MASTERS))
    front_proxy = authority.pair("front-proxy", Certificate("front-proxy-client"))
    accounts_public, accounts_private = authority.signing_key("service-accounts")
    return [
        str(program),
        f"--bind-address={at.address}", f"--advertise-address={at.address}", f"--secure-port={at.api_port}",
        f"--etcd-servers=http://{_LOOPBACK}:{at.etcd_port}",
        f"--service-cluster-ip-range={services}",
        f"--client-ca-file={authority.certificate}",
        f"--tls-cert-file={serving[0]}", f"--tls-private-key-file={serving[1]}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={accounts_public}",
        f"--service-account-signing-key-file={accounts_private}",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-certificate-authority={authority.certificate}",
        f"--kubelet-client-certificate={to_kubelet[0]}", f"--kubelet-client-key={to_kubelet[1]}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={authority.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={front_proxy[0]}", f"--proxy-client-key-file={front_proxy[1]}",
        "--enable-aggregator-routing=true", "--allow-privileged=true", "--profiling=false",
    ]  # fmt: skip


def controller_manager(program: Path, authority: Authority, kubeconfig: Path) -> list[str]:
    """All default controllers, the garbage collector among them; leads at once, as there is only one."""
    return [
        str(program), f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0",
        "--profiling=false", "--use-service-account-credentials=true",
        f"--service-account-private-key-file={authority.signing_key('service-accounts')[1]}",
        f"--root-ca-file={authority.certificate}",
        f"--cluster-signing-cert-file={authority.certificate}", f"--cluster-signing-key-file={authority.key}",
        "--horizontal-pod-autoscaler-sync-period=5s",
        f"--flex-volume-plugin-dir={kubeconfig.parent / 'volume-plugins'}",  # the default is below /usr
        "--kube-api-qps=500", "--kube-api-burst=500",  # its 40 accounts' tokens would take 3 s more
    ]  # fmt: skip


def admin(authority: Authority, target: Path, at: Endpoints) -> Path:
    """The kubeconfig of somebody who may do everything."""
    return authority.kubeconfig(target, at.server, *authority.pair("admin", Certificate("admin", _MASTERS)))


def component(authority: Authority, name: str, at: Endpoints, folder: Path) -> Path:
    """The kubeconfig of a component, under the user name that Kubernetes' own roles are bound to."""
    pair = authority.pair(name, Certificate(f"system:{name}"))
    return authority.kubeconfig(folder / f"{name}.kubeconfig", at.server, *pair)
