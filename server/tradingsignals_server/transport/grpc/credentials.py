"""TLS of grpc.aio, by the certificates of the ports behind the edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc

from ..certificates import Certificates, Identity


def server_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Return credentials that accept only callers with a certificate, and follow `certificates` as they change."""
    served = certificates.current

    def newer() -> grpc.ServerCertificateConfiguration | None:
        nonlocal served
        if certificates.current is served:
            return None
        served = certificates.current
        return _configuration(served)

    # It is asked at each handshake.
    return grpc.dynamic_ssl_server_credentials(
        _configuration(served),
        newer,  # type: ignore[arg-type]  # None for no change is what grpc documents
        require_client_authentication=True,
    )


def channel_to(address: str, identity: Identity | None, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
    """Return a channel to another server, which shows the certificate of `identity`; without it, one without TLS."""
    if identity is None:
        return grpc.aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(identity.authorities, identity.key, identity.certificate)
    named = ("grpc.ssl_target_name_override", identity.server_name)
    return grpc.aio.secure_channel(address, credentials, options=(*options, named))


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key, identity.certificate)], root_certificates=identity.authorities
    )
