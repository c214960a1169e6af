"""The local certificate authority, the servers' certificates, and the key that signs access tokens.

All of it is for this machine only: the names in the certificates are localhost's.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.accounts import Account, caller, write_file
from deploy.local.instance import Instance

AUTHORITY_LIFE = datetime.timedelta(days=3650)
SERVER_LIFE = datetime.timedelta(days=397)
RENEW_BEFORE = datetime.timedelta(days=30)
CLOCK_TOLERANCE = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """Where the certificates and keys are.

    Attributes:
        authority: the authority's certificate: what clients trust.
        mqtt: certificate of the MQTT broker; its key has the suffix ``.key``.
        kafka: certificate and key of Kafka's listener for apps, in one file.
        gateway: certificate of the gateway; its key has the suffix ``.key``.
        token_key: EC P-256 key that signs access tokens.
    """

    authority: Path
    mqtt: Path
    kafka: Path
    gateway: Path
    token_key: Path


def ensure(instance: Instance, servers: Account) -> Certificates:
    """Make what is missing or about to expire; keep the rest, so that clients go on trusting it.

    Args:
        instance: where they are kept.
        servers: whose the servers' keys are.

    Returns:
        Where everything is.
    """
    folder = instance.certificates
    made = Certificates(
        folder / "ca.pem", folder / "mqtt.pem", folder / "kafka.pem", folder / "gateway.pem", folder / "tokens.key"
    )
    authority_key = instance.credentials / "ca.key"
    renewed = not authority_key.exists() or _expires_soon(made.authority)
    if renewed:
        _make_authority(made.authority, authority_key)
    for path, owner in ((made.mqtt, servers), (made.kafka, servers), (made.gateway, caller())):
        if renewed or _expires_soon(path) or not path.with_suffix(".key").exists():
            _make_server(path, owner, made.authority, authority_key)
    if not made.token_key.exists():
        write_file(made.token_key, _private_pem(ec.generate_private_key(ec.SECP256R1())), caller())
    return made


def _expires_soon(path: Path) -> bool:
    if not path.exists():
        return True
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_after_utc - RENEW_BEFORE < datetime.datetime.now(datetime.UTC)


def _make_authority(path: Path, key_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Agora local authority")])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder(name, name, key.public_key(), AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_file(key_path, _private_pem(key), caller())
    write_file(path, certificate.public_bytes(serialization.Encoding.PEM), caller(), mode=0o644)


def _make_server(path: Path, owner: Account, authority_path: Path, authority_key_path: Path) -> None:
    authority = x509.load_pem_x509_certificate(authority_path.read_bytes())
    authority_key = serialization.load_pem_private_key(authority_key_path.read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        _builder(subject, authority.subject, key.public_key(), SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    write_file(path.with_suffix(".key"), _private_pem(key), owner)
    if path.stem == "kafka":  # it reads key and certificate from one file
        write_file(path, public + _private_pem(key), owner)
    else:
        write_file(path, public, owner, mode=0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - CLOCK_TOLERANCE).not_valid_after(now + life)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
