"""Makes every client of this process trust a private CA, besides the public ones."""

import os
import ssl
import tempfile
from pathlib import Path

import certifi

from flame_server.errors import SettingsError

VARIABLE = "FLAME_MCP_CA_FILE"
_MAX_BYTES = 1024 * 1024
_PEM = b"-----BEGIN CERTIFICATE-----"


def trust_also() -> None:
    """Adds the certificates of the file in FLAME_MCP_CA_FILE to those that this process trusts from now on.

    Clients read one file: httpx and ssl the one in SSL_CERT_FILE, requests (traces) that in
    REQUESTS_CA_BUNDLE. So a file is written, in the folder for temporary files, that holds what they would
    trust without this, and the new certificates.

    Raises:
        SettingsError: The file cannot be read or holds no certificate, or the new one cannot be written.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return
    added = _certificates(Path(given))
    parts = [path.read_bytes() for path in _public()] + [added]
    # A file of the same process before a restart of the container: replaced, so that they don't add up.
    target = Path(tempfile.gettempdir()) / f"flame-mcp-ca-{os.getpid()}.pem"
    try:
        target.unlink(missing_ok=True)
        with target.open("xb") as file:
            file.write(b"\n".join(parts))
    except OSError as error:
        raise SettingsError(f"{target} cannot be written: {error.strerror or error}") from error
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = str(target)


def _public() -> list[Path]:
    """The files that are trusted without this: a file of the environment, or the system's and certifi's."""
    if given := os.environ.get("SSL_CERT_FILE"):
        found = [Path(given)]
    else:
        found = [Path(ssl.get_default_verify_paths().openssl_cafile), Path(certifi.where())]
    return [path for path in found if path.is_file()]


def _certificates(path: Path) -> bytes:
    where = f"{VARIABLE} names {path}"
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{where}, which cannot be read: {error.strerror or error}") from error
    if len(data) > _MAX_BYTES:
        raise SettingsError(f"{where}, which has more than {_MAX_BYTES // 1024} KiB")
    if _PEM not in data:
        raise SettingsError(f"{where}, which holds no certificate: it must start with {_PEM.decode()} (PEM)")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise SettingsError(f"{where}, which holds no usable certificate: {error}") from error
    return data
