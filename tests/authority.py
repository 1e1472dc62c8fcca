"""A certificate authority, and what it signs, as PEM files."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
HERE = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


class Pair:
    """A certificate and its key, in PEM."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """As made by an authority."""
        self.certificate = certificate.public_bytes(Encoding.PEM)
        self.key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.serial = certificate.serial_number

    def write(self, folder: Path) -> None:
        """As tls.crt and tls.key."""
        folder.mkdir(exist_ok=True)
        (folder / "tls.crt").write_bytes(self.certificate)
        (folder / "tls.key").write_bytes(self.key)


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "authority") -> None:
        """Has signed itself."""
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        itself = self._builder(self._name, self._key).add_extension(constraint, critical=True)
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        itself = itself.add_extension(own, critical=False)
        self.pem = itself.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name)
        builder = builder.public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - timedelta(days=1))
        return builder.not_valid_after(NOW + timedelta(days=30))

    def signed(self, *names: x509.GeneralName) -> Pair:
        """A certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        alternatives = x509.SubjectAlternativeName(list(names))
        builder = self._builder(subject, key).add_extension(alternatives, critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        return Pair(builder.sign(self._key, hashes.SHA256()), key)

    def server(self) -> Pair:
        """For a server on this machine."""
        return self.signed(*HERE)

    def client(self, spiffe_id: str) -> Pair:
        """For a caller."""
        return self.signed(x509.UniformResourceIdentifier(spiffe_id))

    def credentials(self, client: Pair | None = None) -> grpc.ChannelCredentials:
        """Of a client that trusts this authority, with a certificate or without."""
        own = (client.key, client.certificate) if client else (None, None)
        return grpc.ssl_channel_credentials(self.pem, *own)
