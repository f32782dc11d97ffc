"""Checks of the certificates and the keys of tokens: that they can be used, and when they expire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from ...bootstrap.identity_files import require_identity_files
from ...config.settings import InvalidSettings, Settings
from ...domain.wording import counted
from ...transport.certificates import CertificateRefused, load, public_expiry
from .finding import Finding, Level, ok, problem, warning

RENEWAL = timedelta(days=14)
"""A certificate that expires sooner should have been renewed."""


def check_certificates(settings: Settings, now: datetime | None = None) -> Iterator[Finding]:
    """Check those of the public port and of the ports behind it, and what clients are known by; `now` is in UTC."""
    now = datetime.now(UTC) if now is None else now
    public, inner = settings.tls, settings.grpc_tls
    found = []
    if public is not None:
        found.append(_check("TLS_CERT", lambda: public_expiry(public.certificate, public.key), now))
    if inner is not None:
        found.append(_check("GRPC_TLS_CERT", lambda: load(inner).expires, now))
    yield from found
    if any(each.level is Level.PROBLEM for each in found):
        return
    try:
        require_identity_files(settings)
    except InvalidSettings as error:
        yield problem("identity", str(error), "the service does not start until then")


def _check(setting: str, expiry: Callable[[], datetime], now: datetime) -> Finding:
    try:
        expires = expiry()
    except CertificateRefused as error:
        return problem(setting, str(error), "replace the file, and see docs/security.md")
    text = f"expires in {counted((expires - now).days, 'day')}, on {expires:%Y-%m-%d}"
    if expires - now < RENEWAL:
        return warning(setting, text, "renew it: new files are read without a restart")
    return ok(setting, text)
