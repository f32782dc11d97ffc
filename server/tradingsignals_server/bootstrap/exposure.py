"""Whether the service may listen where the settings say: beyond this machine only with protection, or outright."""

from __future__ import annotations

import secrets

from pydantic import SecretStr

from ..access_settings import Auth
from ..adapters.envoy.hosts import is_loopback
from ..config import InvalidSettings, Settings

_EDGE_SECRET_BYTES = 32


def exposure(settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each address beyond this machine that is open to everyone; empty unless ALLOW_INSECURE."""
    if settings.auth is Auth.ON:
        return ()
    return tuple(
        f"{name}={host} listens beyond this machine without authentication (AUTH=off, ALLOW_INSECURE=1): whatever "
        "reaches it can store bars, make signals, close positions and reload the model"
        for name, host in _addresses(settings).items()
        if not is_loopback(host)
    )


def require_protection(settings: Settings, *names: str) -> None:
    """Check that callers need credentials where `names`, settings of addresses, listen beyond this machine.

    Raises:
        InvalidSettings: they do not, and ALLOW_INSECURE is not set.
    """
    if settings.auth is Auth.ON or settings.allow_insecure:
        return
    for name, host in _addresses(settings).items():
        if name in names and not is_loopback(host):
            raise InvalidSettings(
                f"{name}={host} listens beyond this machine, where AUTH=off lets everyone do everything: set AUTH=on "
                "and make a key with `tradingsignals keys create`, or ALLOW_INSECURE=1 if something else protects it"
            )


def with_edge_secret(settings: Settings) -> Settings:
    """Return the settings with a secret between the edge and its servers, a new one unless they have one."""
    if settings.edge_secret is not None:
        return settings
    return settings.model_copy(update={"edge_secret": SecretStr(secrets.token_urlsafe(_EDGE_SECRET_BYTES))})


def _addresses(settings: Settings) -> dict[str, str]:
    return {"SIGNAL_SERVICE_HOST": settings.signal_service_host, "GRPC_HOST": settings.grpc_host}
