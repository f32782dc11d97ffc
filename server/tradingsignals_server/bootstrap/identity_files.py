"""The files of certificates and keys, checked before anything is started."""

from __future__ import annotations

import json
from pathlib import Path

from ..config.settings import InvalidSettings, Settings
from ..transport.certificates import load

PUBLIC_KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
"""Types of the keys of a JWKS. With a symmetric one, a service that verifies tokens could make them too."""


def require_identity_files(settings: Settings) -> None:
    """Check that the files of TLS and tokens can be used, and that a JWKS has public keys only.

    Raises:
        InvalidSettings: one cannot be read, or is not what it must be.
        CertificateRefused: the same of the ports behind the edge.
    """
    if settings.grpc_tls is not None:
        load(settings.grpc_tls)
    named = ("tls_cert", "tls_key", "tls_client_ca")
    for name, path in ((name, getattr(settings, name)) for name in named):
        if path is not None and "-----BEGIN " not in _read(name, path):
            raise InvalidSettings(f"{name.upper()}={path}: is not PEM, which begins with -----BEGIN")
    tokens = settings.tokens
    if tokens is not None and tokens.jwks_url is None:
        _require_public_keys(Path(tokens.jwks))


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidSettings(f"{name.upper()}={path}: cannot be read: {error.strerror}") from error


def _require_public_keys(path: Path) -> None:
    try:
        types = {str(key["kty"]) for key in json.loads(_read("jwt_jwks", path))["keys"]}
    except (ValueError, TypeError, KeyError):
        raise InvalidSettings(f"JWT_JWKS={path}: is not a JWKS, a JSON object with a list of keys") from None
    if not types or not types <= PUBLIC_KEY_TYPES:
        raise InvalidSettings(f"JWT_JWKS={path}: must have public keys only: {', '.join(sorted(PUBLIC_KEY_TYPES))}")
