"""Certificates and tokens, made by the program `openssl`."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tradingsignals_server.transport.certificates import TlsFiles

OPENSSL = shutil.which("openssl")
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")  # made at once, unlike one of RSA


def _openssl(*arguments: object, stdin: bytes = b"") -> bytes:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], input=stdin, capture_output=True, check=True).stdout


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    path: Path
    key: Path

    def encrypted(self, key: Path) -> Certificate:
        """Return the same with a copy of the key that needs a password."""
        _openssl("pkey", "-aes128", "-passout", "pass:secret", "-in", self.key, "-out", key)
        return Certificate(self.path, key)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, whose files are in `folder`."""

    folder: Path
    own: Certificate

    @classmethod
    def make(cls, folder: Path, name: str = "ca") -> Authority:
        """Make one."""
        own = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
        subject = ("-subj", f"/CN={name}", "-days", "365", "-keyout", own.key, "-out", own.path)
        _openssl("req", "-x509", *_NEW_KEY, *subject)
        return cls(folder, own)

    def certificate(self, name: str, *names: str, days: int = 2, usage: str = "") -> Certificate:
        """Make a certificate for `names`, such as DNS:localhost, in files of a name.

        It holds for `days`, which may be negative; `usage`, such as serverAuth, is all that it may be used for.
        """
        made = Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        only_for = f"extendedKeyUsage={usage}\n" if usage else ""
        extensions.write_text(f"subjectAltName={','.join(names)}\n{only_for}")
        _openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        by = ("-CA", self.own.path, "-CAkey", self.own.key, "-CAcreateserial", "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, "-days", days, *by, "-out", made.path)
        return made


SERVER_NAME = "tradingsignals-server"
"""GRPC_TLS_NAME, unless it is set."""


@dataclass(frozen=True, slots=True)
class Inner:
    """The certificates of the ports behind the edge: of the servers, of the edge, and of a stranger with both names."""

    authority: Authority
    server: Certificate
    edge: Certificate
    stranger: Certificate

    @classmethod
    def make(cls, folder: Path) -> Inner:
        """Make them, each in a folder of its own as where it is used."""
        authority, strangers = Authority.make(folder), Authority.make(folder, "strangers")
        return cls(
            authority,
            placed(authority.certificate("first-server", f"DNS:{SERVER_NAME}"), folder / "server"),
            placed(authority.certificate("first-edge", "DNS:edge"), folder / "edge"),
            strangers.certificate("stranger", f"DNS:{SERVER_NAME}"),
        )

    def files(self, certificate: Certificate | None = None) -> TlsFiles:
        """Return the files of a server, or of whose certificate is given."""
        certificate = certificate or self.server
        return TlsFiles(certificate.path, certificate.key, self.authority.own.path, SERVER_NAME)

    def settings(self, certificate: Certificate | None = None) -> dict[str, str]:
        """Return the settings of a server, or of whose certificate is given."""
        files = self.files(certificate)
        return {
            "GRPC_TLS_CERT": str(files.certificate),
            "GRPC_TLS_KEY": str(files.key),
            "GRPC_TLS_CA": str(files.authorities),
        }

    def context(self, certificate: Certificate | None = None) -> ssl.SSLContext:
        """Return a context of a caller that shows a certificate, or none."""
        context = ssl.create_default_context(cafile=str(self.authority.own.path))
        context.set_alpn_protocols(["h2"])
        if certificate is not None:
            context.load_cert_chain(certificate.path, certificate.key)
        return context

    def credentials(self, certificate: Certificate | None = None) -> grpc.ChannelCredentials:
        """Return credentials of a caller that shows a certificate, or none."""
        root = self.authority.own.path.read_bytes()
        if certificate is None:
            return grpc.ssl_channel_credentials(root)
        return grpc.ssl_channel_credentials(root, certificate.key.read_bytes(), certificate.path.read_bytes())


def placed(certificate: Certificate, folder: Path) -> Certificate:
    """Move a certificate to where it is used, as its first or a new one: each file in one step, the key first."""
    folder.mkdir(exist_ok=True)
    used = Certificate(folder / "tls.crt", folder / "tls.key")
    os.replace(certificate.key, used.key)  # noqa: PTH105 - one move, as Envoy watches for
    os.replace(certificate.path, used.path)  # noqa: PTH105 - the same
    return used


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Signs tokens with an RSA key."""

    key: Path

    @classmethod
    def make(cls, folder: Path, name: str = "issuer") -> TokenIssuer:
        """Make one with a key of its own."""
        key = folder / f"{name}.key"
        _openssl("genrsa", "-out", key, "2048")
        return cls(key)

    def jwks(self) -> str:
        """Return the public key as JWKS."""
        modulus = bytes.fromhex(_openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().split("=")[1])
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", "n": _encoded(modulus), "e": "AQAB"}
        return json.dumps({"keys": [key]})

    def public_pem(self) -> bytes:
        """Return the public key as PEM."""
        return _openssl("rsa", "-in", self.key, "-pubout")

    def token(self, claims: dict[str, Any], **header: Any) -> str:
        """Return a signed token."""
        signed = unsigned({"alg": "RS256", "typ": "JWT", "kid": "one", **header}, claims)
        signature = _openssl("dgst", "-sha256", "-sign", self.key, stdin=signed.encode())
        return f"{signed}.{_encoded(signature)}"


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Return the first two parts of a token."""
    return f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
