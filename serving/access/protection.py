"""Protection: how a server keeps strangers out, and that it does not start without."""

import ipaddress

from serving.settings import ServingSettings

DO = "give --access, --tls-certificate and --tls-key"


class ProtectionError(ValueError):
    """Settings or files with which no server is opened; the text says what to do."""


def check_protection(settings: ServingSettings) -> None:
    """Raises ProtectionError: nobody is let in by what was not said.

    Who calls must prove who they are, through TLS. Without either only --insecure goes, on
    loopback; only --trust-network leaves the encryption to the network, and never the proof.
    """
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise ProtectionError("--tls-certificate and --tls-key need each other")
    if settings.client_ca and not settings.tls_certificate:
        raise ProtectionError("--client-ca needs --tls-certificate and --tls-key")
    if settings.insecure:
        if not is_loopback(settings.host):
            text = "--insecure answers on loopback only, as anybody could call"
            raise ProtectionError(f"--host is {settings.host}: {text}; {DO}")
        return
    if not settings.access:
        raise ProtectionError(f"no --access: anybody could call; {DO}, or --insecure on loopback")
    if not settings.tls_certificate and not settings.trust_network:
        text = "no --tls-certificate: keys could be read on the way; give it with --tls-key"
        rest = "or say --trust-network where a mesh or gateway encrypts, or --insecure on loopback"
        raise ProtectionError(f"{text}, {rest}")


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches it. A name other than localhost may be anything."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
