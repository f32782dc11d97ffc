"""Certificates and tokens, made by the program `openssl`."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPENSSL = shutil.which("openssl")


def _openssl(*arguments: object, stdin: bytes = b"") -> bytes:
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], input=stdin, capture_output=True, check=True).stdout


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    path: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, whose files are in `folder`."""

    folder: Path
    own: Certificate

    @classmethod
    def make(cls, folder: Path, name: str = "ca") -> Authority:
        """Make one."""
        own = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
        subject = ("-subj", f"/CN={name}", "-days", "2", "-keyout", own.key, "-out", own.path)
        _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject)
        return cls(folder, own)

    def certificate(self, name: str, *names: str) -> Certificate:
        """Make a certificate for `names`, such as DNS:localhost, in files of a name."""
        made = Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(names)}\n")
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        by = ("-CA", self.own.path, "-CAkey", self.own.key, "-CAcreateserial", "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, "-days", "2", *by, "-out", made.path)
        return made


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
