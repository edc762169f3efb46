"""A certificate authority for one cluster, and kubeconfig files."""

import base64
import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = dt.timedelta(days=365)  # longer than any throw-away cluster lives
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Certificate:
    """What a certificate says; with `addresses` (DNS names or IP addresses) its owner serves under them."""

    common_name: str
    organization: str | None = None
    addresses: Sequence[str] = ()
    client: bool = True

    @property
    def name(self) -> x509.Name:
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)]
        if self.organization:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization))
        return x509.Name(attributes)


class Authority:
    """Signs certificates below a folder; what is there is kept, so a restarted cluster keeps its keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.certificate.exists():
            self._create()

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def key(self) -> Path:
        return self.folder / "ca.key"

    def _create(self) -> None:
        key = _write_key(self.key)
        name = Certificate("flame-mcp-ca").name
        builder = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        self.certificate.write_bytes(_pem(builder.sign(key, hashes.SHA256())))

    def pair(self, file: str, wanted: Certificate) -> tuple[Path, Path]:
        """The certificate and key files for `wanted`, made when `FILE.crt` isn't there yet."""
        certificate, key_file = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        if certificate.exists():
            return certificate, key_file
        issuer_key = serialization.load_pem_private_key(self.key.read_bytes(), password=None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        key = _write_key(key_file)
        usages = [*([_CLIENT] if wanted.client else []), *([_SERVER] if wanted.addresses else [])]
        builder = (
            _builder(wanted.name, issuer.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
            )
        )
        if wanted.addresses:
            names = x509.SubjectAlternativeName([_general_name(address) for address in wanted.addresses])
            builder = builder.add_extension(names, critical=False)
        certificate.write_bytes(_pem(builder.sign(issuer_key, hashes.SHA256())))
        return certificate, key_file

    def signing_key(self, file: str) -> tuple[Path, Path]:
        """A bare key pair (public, private), as service account tokens are signed with."""
        public, private = self.folder / f"{file}.pub", self.folder / f"{file}.key"
        if not public.exists():
            key = _write_key(private)
            public.write_bytes(
                key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
        return public, private

    def kubeconfig(self, target: Path, server: str, certificate: Path, key: Path) -> Path:
        """Writes a kubeconfig with everything inline, readable by its owner only."""

        def inline(file: Path) -> str:
            return base64.b64encode(file.read_bytes()).decode()

        cluster = {"server": server, "certificate-authority-data": inline(self.certificate)}
        user = {"client-certificate-data": inline(certificate), "client-key-data": inline(key)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "flame-mcp", "cluster": cluster}],
            "users": [{"name": "flame-mcp", "user": user}],
            "contexts": [{"name": "flame-mcp", "context": {"cluster": "flame-mcp", "user": "flame-mcp"}}],
            "current-context": "flame-mcp",
        }
        _write_private(target, yaml.safe_dump(content).encode())
        return target


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))  # clocks may be set back a little
        .not_valid_after(now + _LIFETIME)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_encipherment=not authority, key_cert_sign=authority, crl_sign=authority,
        content_commitment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    _write_private(
        file,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    return key


def _write_private(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)
