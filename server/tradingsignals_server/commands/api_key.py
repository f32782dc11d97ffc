"""The API key, and the encryption, of commands that call a running service."""

from __future__ import annotations

import os
from pathlib import Path

import grpc

VARIABLE = "TRADINGSIGNALS_API_KEY"
"""Of the environment. There is no option for it: lists of processes show options to everyone."""
ROOT_VARIABLE = "TRADINGSIGNALS_TLS_ROOT"
"""Of the environment: certificate authorities (PEM) of the service; calls are encrypted if it is set."""


def api_key() -> str | None:
    """Return the API key for calls of a running service; None if there is none."""
    return os.environ.get(VARIABLE) or None


def credentials() -> grpc.ChannelCredentials | None:
    """Return what to check the certificate of the service by; None if calls are not encrypted.

    Raises:
        OSError: the file that ROOT_VARIABLE names cannot be read.
    """
    root = os.environ.get(ROOT_VARIABLE)
    return grpc.ssl_channel_credentials(Path(root).read_bytes()) if root else None
