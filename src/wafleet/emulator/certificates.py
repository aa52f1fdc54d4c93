"""Who the emulator is: its root key in the place of WhatsApp's, and a certificate authority of its own for TLS.

Made once and kept in its folder, so that a client that linked yesterday still knows it today.
"""

import ipaddress
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wafleet.clientlib.protos import cert
from wafleet.emulator.keys import Key
from wafleet.emulator.noise import Identity
from wafleet.simulator.clock import steady

_FILE: Final = "keys.json"
_NAMES: Final = ("*.whatsapp.com", "whatsapp.net", "*.whatsapp.net", "*.fna.whatsapp.net", "localhost")
_YEARS: Final = timedelta(days=3650)
_EARLIER: Final = timedelta(days=1)  # hosts' clocks differ
_CERTIFICATE: Final = cert.CertChain.NoiseCertificate


class _Kept(msgspec.Struct, frozen=True):
    root: bytes  # seeds of keys
    intermediate: bytes
    static: bytes
    ca: str  # certificates and the leaf's key, as PEM
    leaf: str


@dataclass(frozen=True, slots=True)
class Authority:
    """The keys of one emulator. `ca` is the file that makes TLS clients trust it."""

    root: Key
    intermediate: Key
    static: Key
    ca: Path
    leaf: Path

    @classmethod
    def of(cls, folder: Path) -> "Authority":
        """Read the keys kept in a folder, or make them."""
        try:
            kept = msgspec.json.decode((folder / _FILE).read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            kept = _made()
            write(folder / _FILE, msgspec.json.encode(kept))
        ca, leaf = folder / "ca.pem", folder / "leaf.pem"
        write(ca, kept.ca.encode())
        write(leaf, kept.leaf.encode())
        return cls(Key(kept.root), Key(kept.intermediate), Key(kept.static), ca, leaf)

    @property
    def tls(self) -> ssl.SSLContext:
        """Make what a TLS server needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.leaf)
        return context

    def identity(self, now: float) -> Identity:
        """Return who the server is in handshakes, with certificates that are good at this time (Unix seconds)."""
        middle = _details(1, 0, self.intermediate.public, now)
        last = _details(2, 1, self.static.public, now)
        chain = cert.CertChain(
            intermediate=_CERTIFICATE(details=middle, signature=self.root.sign(middle)),
            leaf=_CERTIFICATE(details=last, signature=self.intermediate.sign(last)),
        )
        return Identity(self.static, chain.SerializeToString())


def write(path: Path, data: bytes) -> None:
    """Write a file that only this user can read, and never half of it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    beside.replace(path)


def _details(serial: int, issuer: int, key: bytes, now: float) -> bytes:
    long = round(_YEARS.total_seconds())
    return _CERTIFICATE.Details(
        serial=serial, issuerSerial=issuer, key=key, notBefore=int(now) - long, notAfter=int(now) + long
    ).SerializeToString()


def _made() -> _Kept:
    issuer, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _ca(issuer)
    leaf = _leaf(own, ca, issuer)
    secret = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _Kept(os.urandom(32), os.urandom(32), os.urandom(32), _pem(ca), _pem(leaf) + secret.decode())


def _ca(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    name = _name("wafleet emulator")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, issuer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    hosts = [x509.DNSName(name) for name in _NAMES]
    here = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return (
        _builder(_name("web.whatsapp.com"), ca.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([*hosts, here]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(by, critical=False)
        .sign(issuer, hashes.SHA256())
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(steady()(), UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _YEARS)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
