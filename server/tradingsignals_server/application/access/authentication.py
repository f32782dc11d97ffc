"""From what a caller has sent to who it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...domain.access import Caller, Credential, Role, is_api_key
from ...domain.access_errors import NetworkNotAllowed, Unauthenticated
from ..ports.clock import Clock
from .keys import KeyRing

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent with a call: the values of its headers, and the address that it came from."""

    authorization: str | None
    api_key: str | None
    address: str

    @property
    def secret(self) -> str | None:
        """The API key or the token; None if there is none.

        Raises:
            Unauthenticated: the header `authorization` has another form.
        """
        if self.authorization is None:
            return self.api_key
        if self.authorization[: len(_BEARER)].lower() != _BEARER:
            raise Unauthenticated("malformed", "the header authorization is not: Bearer, and an API key or a token")
        return self.authorization[len(_BEARER) :].strip()


Authenticate = Callable[[Sent], Caller]
"""Returns the caller, whose role is None if it sent no credentials. Raises Unauthenticated or NotAllowed."""


def everyone_is_admin(sent: Sent) -> Caller:
    """Authenticate nobody: every caller may do everything."""
    return Caller(role=Role.ADMIN, address=sent.address)


class Authenticator:
    """Accepts API keys."""

    def __init__(self, keys: KeyRing, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def authenticate(self, sent: Sent) -> Caller:
        """See Authenticate."""
        secret = sent.secret
        if secret is None:
            return Caller(address=sent.address)
        if not is_api_key(secret):
            raise Unauthenticated("unknown", "the credentials are neither an API key nor a token that is accepted here")
        key = self._keys.find(secret)
        if not key.is_accepted_from(sent.address):
            raise NetworkNotAllowed(sent.address)
        return Caller(Credential.KEY, key.id, key.name, key.role, sent.address, key.expires_at)

    def lost_by(self, caller: Caller) -> Exception | None:
        """Return the error of a caller whose credentials are not accepted any more; None for any other."""
        if caller.credential is Credential.KEY:
            return self._keys.invalid(caller.id)
        if caller.expires_at is not None and caller.expires_at <= self._clock():
            return Unauthenticated("expired", "the credentials have expired")
        return None
