"""Certificates: what a server shows of itself and asks of others; renewed while it runs.

A new pair is taken into use by the next handshake, once certificate and key fit each other: they
are replaced one after the other. Connections that there are live on, up to their age.
"""

from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from serving.access.protection import ProtectionError
from serving.settings import ServingSettings

Contents = tuple[bytes, ...]


class Certificates:
    """PEM files, which may be replaced at any time."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """With `client_ca`, whoever connects needs a certificate that it has signed."""
        self._paths = [certificate, key, *([client_ca] if client_ca is not None else [])]
        self._seen: Contents | None = None
        self._next: grpc.ServerCertificateConfiguration | None = None
        self.expiry_s = 0.0  # of the server's own certificate, Unix time

    def refresh(self) -> bool:
        """Whether the files have changed, and will be used; raises ProtectionError then."""
        try:
            contents = tuple(each.read_bytes() for each in self._paths)
        except OSError as error:
            contents, trouble = (), f"{error.filename} cannot be read: {error.strerror}"
        else:
            trouble = ""
        if contents == self._seen:
            return False
        self._seen = contents
        if trouble:
            raise ProtectionError(trouble)
        self.expiry_s = self._checked(contents)
        chain, key, *ca = contents
        self._next = grpc.ssl_server_certificate_configuration(
            [(key, chain)], ca[0] if ca else None
        )
        return True

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with, after refresh()."""
        first, self._next = self._next, None
        return grpc.dynamic_ssl_server_credentials(
            first, self._newest, require_client_authentication=len(self._paths) == 3
        )

    def _newest(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC at each handshake, on a thread of its own; None: as before."""
        newest, self._next = self._next, None
        return newest

    def _checked(self, contents: Contents) -> float:
        """Until when the server's certificate is good."""
        chain, key, *ca = contents
        own, *_ = self._certificates(self._paths[0], chain)
        for each in ca:
            self._certificates(self._paths[2], each)
        try:
            private = load_pem_private_key(key, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            text = f"{self._paths[1]} is no private key in PEM without a password"
            raise ProtectionError(f"{text} ({type(error).__name__})") from None
        if own.public_key() != private.public_key():
            raise ProtectionError(f"{self._paths[1]} is not the key of {self._paths[0]}")
        return own.not_valid_after_utc.timestamp()

    def _certificates(self, path: Path, content: bytes) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(content)
        except ValueError as error:
            raise ProtectionError(f"{path} holds no certificates in PEM: {error}") from None


def certificates_of(settings: ServingSettings) -> Certificates | None:
    """Those that the settings name, read; None in plaintext. Raises ProtectionError."""
    if not settings.tls_certificate:
        return None
    ca = Path(settings.client_ca) if settings.client_ca else None
    found = Certificates(Path(settings.tls_certificate), Path(settings.tls_key), ca)
    found.refresh()
    return found
