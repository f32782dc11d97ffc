"""Whether the service may listen where the settings say: beyond this machine only with protection, or outright."""

from __future__ import annotations

import secrets

from pydantic import SecretStr

from ..adapters.envoy.hosts import is_loopback
from ..config.access import Auth
from ..config.settings import InvalidSettings, Settings

_EDGE_SECRET_BYTES = 32


def exposure(settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each address beyond this machine without protection; empty unless ALLOW_INSECURE."""
    found = []
    for name, host in _addresses(settings).items():
        if is_loopback(host):
            continue
        if settings.auth is Auth.OFF:
            found.append(
                f"{name}={host} listens beyond this machine without authentication (AUTH=off, ALLOW_INSECURE=1): "
                "whatever reaches it can store bars, make signals, close positions and reload the model"
            )
        elif not _is_encrypted(settings, name):
            found.append(
                f"{name}={host} listens beyond this machine without encryption (ALLOW_INSECURE=1): whatever hears its "
                "callers can use their keys"
            )
    return tuple(found)


def require_protection(settings: Settings, *names: str) -> None:
    """Check that callers need credentials, and that these are encrypted, where `names` listen beyond this machine.

    Raises:
        InvalidSettings: they do not or are not, and ALLOW_INSECURE is not set.
    """
    if settings.allow_insecure:
        return
    for name, host in _addresses(settings).items():
        if name not in names or is_loopback(host):
            continue
        if settings.auth is Auth.OFF:
            raise InvalidSettings(
                f"{name}={host} listens beyond this machine, where AUTH=off lets everyone do everything: set AUTH=on "
                "and make a key with `tradingsignals keys create`, or ALLOW_INSECURE=1 if something else protects it"
            )
        if not _is_encrypted(settings, name):
            needed = "GRPC_TLS_CERT, GRPC_TLS_KEY and GRPC_TLS_CA" if name == "GRPC_HOST" else "TLS_CERT and TLS_KEY"
            raise InvalidSettings(
                f"{name}={host} listens beyond this machine, where keys would be sent without encryption: set "
                f"{needed}, or ALLOW_INSECURE=1 if something else encrypts it"
            )


def with_edge_secret(settings: Settings) -> Settings:
    """Return the settings with a secret between the edge and its servers, a new one unless they have one."""
    if settings.edge_secret is not None:
        return settings
    return settings.model_copy(update={"edge_secret": SecretStr(secrets.token_urlsafe(_EDGE_SECRET_BYTES))})


def _is_encrypted(settings: Settings, name: str) -> bool:
    return (settings.grpc_tls if name == "GRPC_HOST" else settings.tls) is not None


def _addresses(settings: Settings) -> dict[str, str]:
    return {"SIGNAL_SERVICE_HOST": settings.signal_service_host, "GRPC_HOST": settings.grpc_host}
