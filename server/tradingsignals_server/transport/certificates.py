"""The certificates of the ports behind the edge: read, checked, and read again when their files change.

Each party has one certificate, which it shows as a server and as a client, and trusts those of the same authorities. It
is checked as its peers will check it: by a handshake with itself, in memory.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

RELOAD_SECONDS: Final = 1.0
"""How often the files are read."""

_H2: Final = ["h2"]

log = logging.getLogger(__name__)


class CertificateRefused(Exception):
    """Files of certificates cannot be used. The message is one line that names the setting."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a certificate (a chain), its key and the authorities of the others are (PEM).

    server_name: the DNS name that the certificate of every server has, whatever address it is reached at.
    """

    certificate: Path
    key: Path
    authorities: Path
    server_name: str

    def read(self) -> tuple[bytes, bytes, bytes]:
        """Return the contents: certificate, key, authorities.

        Raises:
            CertificateRefused: a file cannot be read, or is not what it must be.
        """
        return (
            _read("GRPC_TLS_CERT", self.certificate, b"-----BEGIN CERTIFICATE-----"),
            _read("GRPC_TLS_KEY", self.key, b"PRIVATE KEY-----"),
            _read("GRPC_TLS_CA", self.authorities, b"-----BEGIN CERTIFICATE-----"),
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """Certificate, key and authorities as they were read at one time.

    server: for connections that come in. expires: when the certificate does, or the last of the authorities.
    """

    certificate: bytes
    key: bytes
    authorities: bytes
    server_name: str
    server: ssl.SSLContext
    expires: datetime


def load(files: TlsFiles, *, is_server: bool = True) -> Identity:
    """Read the files, and check them as a peer would.

    Args:
        files: where they are.
        is_server: whether the certificate is shown to clients too, so that it needs the name of servers.

    Raises:
        CertificateRefused: the files cannot be used: a peer would refuse the certificate, or one does not fit another.
    """
    contents = files.read()
    server, client = (_context(files, kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    if not is_server:
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    shown = _shown(files, server, client)
    if files.read() != contents:
        raise CertificateRefused(f"GRPC_TLS_CERT={files.certificate}: is being replaced")
    last_authority = max(map(_end, client.get_ca_certs()))
    return Identity(*contents, files.server_name, server, min(_end(shown), last_authority))


class Certificates:
    """The identity of this process, as its files have it now."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files.

        Raises:
            CertificateRefused: see `load`.
        """
        self.current = load(files)
        """Another object after each change."""
        self._files = files
        self._refused = ""

    async def run(self) -> None:
        """Read the files again whenever they change, until cancelled."""
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Read the files if they have changed. What cannot be used is logged once, and the former is kept."""
        known = self.current
        try:
            if self._files.read() == (known.certificate, known.key, known.authorities):
                self._refused = ""
                return
            self.current = load(self._files)
        except CertificateRefused as error:
            if str(error) != self._refused:
                log.warning("the certificate before it is kept: %s", error)
            self._refused = str(error)
            return
        self._refused = ""
        log.info("new connections have the certificate that expires at %s", self.current.expires.isoformat())


def public_expiry(certificate: Path, key: Path) -> datetime:
    """Return when the certificate of the public port expires.

    Raises:
        CertificateRefused: it has expired, or the key is not its key, or a file cannot be read.
    """
    _read("TLS_CERT", certificate, b"-----BEGIN CERTIFICATE-----")
    _read("TLS_KEY", key, b"PRIVATE KEY-----")
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load_chain(server, certificate, key, "TLS")
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate itself is all that is trusted
    client.load_verify_locations(certificate)
    try:
        return _end(_shake_hands(server, client, None)[0])
    except ssl.SSLCertVerificationError as error:
        raise CertificateRefused(f"TLS_CERT={certificate}: {error.verify_message}") from error


def _read(setting: str, path: Path, marker: bytes) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CertificateRefused(f"{setting}={path}: cannot be read: {error.strerror}") from error
    if marker not in content:
        raise CertificateRefused(f"{setting}={path}: has no {marker.decode().strip('-').removeprefix('BEGIN ')} (PEM)")
    return content


def _context(files: TlsFiles, kind: int) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(_H2)
    if kind == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # a connection lasts; a resumed one would not show its certificate
    _load_chain(context, files.certificate, files.key, "GRPC_TLS")
    try:
        context.load_verify_locations(files.authorities)
    except (OSError, ssl.SSLError) as error:
        raise CertificateRefused(f"GRPC_TLS_CA={files.authorities}: has no valid certificate (PEM)") from error
    return context


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path, prefix: str) -> None:
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # or an encrypted key would be asked for
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or ""
        if reason == "KEY_VALUES_MISMATCH":
            why = f"is not the key of {prefix}_CERT={certificate}"
        elif b"ENCRYPTED" in key.read_bytes():
            why = "is encrypted: it must be readable without a password"
        else:
            detail = f" ({reason.lower().replace('_', ' ')})" if reason else ""
            why = f"cannot be used with {prefix}_CERT={certificate}{detail}"
        raise CertificateRefused(f"{prefix}_KEY={key}: {why}") from error


def _shown(files: TlsFiles, server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    """Return what a server sees of the certificate of a client, if it and the client accept each other's."""
    try:
        return _shake_hands(server, client, files.server_name)[1]
    except _RefusedByServer as error:
        by, why = "servers that trust", error.why
    except ssl.SSLCertVerificationError as error:
        by, why = f"callers that expect {files.server_name} (GRPC_TLS_NAME) and trust", error.verify_message.rstrip(".")
    raise CertificateRefused(
        f"GRPC_TLS_CERT={files.certificate}: is refused by {by} GRPC_TLS_CA={files.authorities}: {why}"
    )


class _RefusedByServer(Exception):
    def __init__(self, why: str) -> None:
        self.why = why


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> list[dict[str, Any]]:
    """Connect a client with a server in memory; return what each sees of the other's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_hostname=name)
    called = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (caller, called, caller):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    try:
        called.do_handshake()
    except ssl.SSLError as error:
        raise _RefusedByServer(getattr(error, "verify_message", None) or str(error.reason)) from error
    return [end.getpeercert() or {} for end in (caller, called)]


def _end(certificate: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
