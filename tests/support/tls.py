"""Authorities and servers' certificates as a test wants them, and a server that shows one."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OLD_TLS_REFUSED = "TLSV1_ALERT_PROTOCOL_VERSION"
"""The alert of a server that does not speak the version it was offered."""
HUNG_UP = "hung up"
"""What a server of asyncio does instead of sending an alert."""
DAY = datetime.timedelta(days=1)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass(frozen=True)
class Authority:
    """Vouches for servers.

    Attributes:
        folder: where its files are.
        key: its key.
        certificate: its own certificate.
    """

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path) -> Authority:
        folder.mkdir()
        key, name, now = ec.generate_private_key(ec.SECP256R1()), _named("An authority of a test"), _now()
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(folder, key, certificate)

    @property
    def file(self) -> Path:
        """What a client trusts."""
        return self.folder / "ca.pem"

    def vouch(self, host: str = "localhost", age: datetime.timedelta = datetime.timedelta()) -> Path:
        """Make a server's certificate that is good for a day around now, or around so long ago."""
        key, now = ec.generate_private_key(ec.SECP256R1()), _now() - age
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        certificate = (
            x509.CertificateBuilder(
                self.certificate.subject, _named(host), key.public_key(), x509.random_serial_number(), now - DAY, now + DAY
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / f"{host}-{age.days}.pem"
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        return path


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def speak_only_old_tls(context: ssl.SSLContext) -> None:
    """Narrow a client or server to TLS 1.1, with whatever suites there were for it: its own library must not be what refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def offer_old_tls(port: int, authority: Path) -> str:
    """Knock at a server of this machine with TLS 1.1 and nothing newer.

    Returns:
        The version that was agreed on; the alert by which the server refused, as OpenSSL calls it; or ``HUNG_UP``.

    Raises:
        ssl.SSLError: it failed here, before the server had a say.
    """
    context = ssl.create_default_context(cafile=str(authority))
    speak_only_old_tls(context)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as door:
                return str(door.version())
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError):  # which of them is OpenSSL's and Python's choice
            return HUNG_UP
        except ssl.SSLError as error:
            if "ALERT" not in str(error.reason):
                raise
            return str(error.reason)


class Doorway:
    """A server on this machine that shows a certificate, and then hangs up.

    Args:
        certificate: file with certificate and key.
        old: whether it speaks TLS 1.1 and nothing newer.

    Attributes:
        port: where it listens.
        entered: how many clients were content with the certificate.
        turned_away: how many were not.
    """

    def __init__(self, certificate: Path, *, old: bool = False) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if old:
            speak_only_old_tls(self._context)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.entered = 0
        self.turned_away = 0
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.settimeout(5)
            try:
                with self._context.wrap_socket(plain, server_side=True) as door:
                    door.recv(1)
                self.entered += 1
            except (ssl.SSLError, OSError):
                self.turned_away += 1
            finally:
                plain.close()
