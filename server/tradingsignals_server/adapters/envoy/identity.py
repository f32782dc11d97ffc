"""How the edge knows its callers: certificates of TLS, and tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
"""The certificate authorities by which a JWKS is fetched, where Debian and Envoy's image have them."""

_ORIGIN = re.compile(r"https?://[a-z0-9.\[\]:_-]{1,253}")


@dataclass(frozen=True, slots=True)
class EdgeTls:
    """TLS of the public port. The files are read again when one is moved into its folder.

    client_ca: certificate authorities of clients; None: clients are not asked for a certificate. client_required:
    refuse a client without one.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_required: bool = True


@dataclass(frozen=True, slots=True)
class EdgeTokens:
    """Tokens (JWT) that are accepted: their issuer, audience and longest lifetime, and the public keys (JWKS)."""

    issuer: str
    audience: str
    jwks: str
    max_seconds: int

    @property
    def jwks_url(self) -> JwksUrl | None:
        """Where the JWKS is fetched; None if it is a file."""
        if not self.jwks.startswith(("http://", "https://")):
            return None
        url = urlsplit(self.jwks)
        is_tls = url.scheme == "https"
        return JwksUrl(self.jwks, url.hostname or "", url.port or (443 if is_tls else 80), is_tls)

    @property
    def jwks_path(self) -> str:
        """The path of the JWKS, if it is a file."""
        return str(Path(self.jwks).resolve())


@dataclass(frozen=True, slots=True)
class JwksUrl:
    """The parts of the URL of a JWKS."""

    url: str
    host: str
    port: int
    is_tls: bool


def parse_origins(text: str) -> tuple[str, ...]:
    """Parse origins separated by commas, such as https://desk.example.

    Raises:
        ValueError: one of them is not an origin; the message is one line that names it.
    """
    found = []
    for part in (part.strip() for part in text.split(",")):
        origin = part.lower().removesuffix("/")
        if part and not _ORIGIN.fullmatch(origin):
            raise ValueError(f'"{part[:80]}" is not an origin: write it as in "https://desk.example"')
        if part:
            found.append(origin)
    return tuple(dict.fromkeys(found))
